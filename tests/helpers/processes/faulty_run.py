"""The command line with a fault: a call of a function, counted from 1, brings it about.

The variable ARL_TF_TEST_FAULT holds a JSON object of `faults.Fault`. The fault is the system's own:
a signal, a disk that is full, a file that may not grow, another clock.

Networks have small stand-ins here: to build and trace them is most of a tiny run's work.
"""

import errno
import importlib
import json
import os
import pathlib
import resource
import shutil
import signal
import time

import kept_readouts
import keras
import tensorflow as tf
from keras import layers

from arl_tf import main
from arl_tf.experiments import audit_stage, export_stage, train_stage
from arl_tf.metrics import reconstruction
from arl_tf.models import backbones
from arl_tf.models.pretrained import perceptual


def kill(_: str) -> None:
    """Ends this process as `kill -9` does."""
    os.kill(os.getpid(), signal.SIGKILL)


def fill(folder: str) -> None:
    """Leaves no byte on the file system of a folder."""
    with (pathlib.Path(folder) / "filler").open("ab", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise


def limit(size: str) -> None:
    """No file of this process may grow beyond so many bytes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(size), int(size)))


def none(_: str) -> None:
    """No fault."""


ACTIONS = {
    "none": none,
    "kill": kill,
    "fill": fill,
    "limit": limit,
}


def set_clock(years: int) -> None:
    """Moves the clock of the day by some years of 365 days."""
    real = time.time
    time.time = lambda: real() + years * 365 * 86_400


def use_small_networks() -> None:
    """A backbone of four layers, pooled pixels, the judge of drawn faces; graphs as they are."""
    backbones.BACKBONES["small"] = backbone
    # The judge that others keep sees the features of a larger network.
    if kept_readouts.FOLDER in os.environ:
        small = pathlib.Path(os.environ[kept_readouts.FOLDER]) / "small"
        small.mkdir(exist_ok=True)
        os.environ[kept_readouts.FOLDER] = str(small)
    perceptual._built_features = lambda *_: pooled
    perceptual.feature_similarity_network = pooling_network
    judges = reconstruction.load_identity_networks
    reconstruction.load_identity_networks = lambda image_size, **given: judges(
        image_size, **{**given, "procedural": True}
    )
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


def backbone(image_size: int) -> keras.Model:
    """The layers that `backbones.CUT_LAYERS` names, with strides of 4, 8 and 16."""
    image = keras.Input((image_size, image_size, 3))
    features = layers.Conv2D(4, 3, 2, padding="same", use_bias=False)(image)
    features = layers.BatchNormalization(momentum=backbones.BATCH_NORM_MOMENTUM)(features)
    for number in (1, 2, 3):
        convolution = layers.Conv2D(8, 3, 2, "same", activation="relu", name=f"stage{number}")
        features = convolution(features)
    return keras.Model(image, layers.GlobalAveragePooling2D(name="pooled")(features))


def pooled(image: tf.Tensor) -> list[tf.Tensor]:
    """Maps float32 [B, S / 8, S / 8, 3] of images float32 [B, S, S, 3], channels of unit length."""
    return [tf.math.l2_normalize(tf.nn.avg_pool2d(image + 0.01, 8, 8, "VALID"), -1)]


def pooling_network(image_size: int) -> keras.Model:
    """The same as a network."""
    image = keras.Input((image_size, image_size, 3))
    maps = layers.UnitNormalization(-1)(layers.AveragePooling2D(8)(image + 0.01))
    return keras.Model(image, [maps])


def take_from(finished: pathlib.Path) -> None:
    """Has trainings, audits and exports copy what a finished run has, in place of the work."""

    def train(experiment) -> None:
        states = shutil.ignore_patterns("epoch_*")
        folder = experiment.run.checkpoints
        shutil.copytree(finished / "checkpoints", folder, ignore=states, dirs_exist_ok=True)

    def audit(experiment) -> None:
        folder = experiment.run.audit(experiment.config.audit_name)
        shutil.copytree(finished / "audit", folder, dirs_exist_ok=True)

    def export(experiment) -> None:
        shutil.copytree(finished / "export", experiment.run.export, dirs_exist_ok=True)

    train_stage.run, audit_stage.run, export_stage.run = train, audit, export


def found(place: str) -> tuple[object, str]:
    """(The module or class that holds it, its name) of "module:function"."""
    module, _, path = place.partition(":")
    *owners, name = path.split(".")
    owner = importlib.import_module(module)
    for part in owners:
        owner = getattr(owner, part)
    return owner, name


def at_each_call(place: str, before, after=lambda: None) -> None:
    """Has two functions called around each call of another one."""
    owner, name = found(place)
    real = getattr(owner, name)

    def watched(*args, **kwargs):
        before()
        result = real(*args, **kwargs)
        after()
        return result

    setattr(owner, name, watched)


def put_in_place(fault: dict) -> None:
    """Has the fault happen at its call."""
    calls, begun = [], [] if fault["since"] else [True]

    def before() -> None:
        if begun:
            calls.append(None)
        if not fault["after"]:
            act_if_due()

    def act_if_due() -> None:
        if begun and len(calls) == fault["call"]:
            begun.clear()
            ACTIONS[fault["action"]](fault["argument"])

    if not fault["at"]:
        ACTIONS[fault["action"]](fault["argument"])
        return
    if fault["since"]:
        at_each_call(fault["since"], lambda: begun.append(True))
    at_each_call(fault["at"], before, act_if_due if fault["after"] else lambda: None)


if __name__ == "__main__":
    use_small_networks()
    asked = json.loads(os.environ["ARL_TF_TEST_FAULT"])
    if asked["years"]:
        set_clock(asked["years"])
    if asked["finished"]:
        take_from(pathlib.Path(asked["finished"]))
    put_in_place(asked)
    main.console()
