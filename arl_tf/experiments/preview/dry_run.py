"""What a command would do: settings, data, networks, time and memory, as plain tables.

Nothing is trained for good, and nothing is written. Data are counted, not decoded.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from arl_tf.attacks import registry
from arl_tf.config.checks import ALONE
from arl_tf.config.settings import Config, as_dict, subset
from arl_tf.data import image_sets, public_data
from arl_tf.data.image_sets import DataSettings, ImageSet
from arl_tf.data.splits import Splits, SplitSettings
from arl_tf.defences.registry import trains_decoders
from arl_tf.experiments import audits, experiment
from arl_tf.experiments.experiment import Experiment
from arl_tf.experiments.preview import estimates
from arl_tf.experiments.preview.planned_trials import planned_trials
from arl_tf.experiments.run_directory import RunDirectory
from arl_tf.experiments.sweeps import trial_forecast
from arl_tf.metrics.tasks.registry import task_of
from arl_tf.models import costs
from arl_tf.models.pretrained import perceptual
from arl_tf.training import building, train
from arl_tf.training.learner import AdversarialRepresentationLearner
from arl_tf.training.settings import TrainingSettings
from arl_tf.utils.memory import peak_bytes
from arl_tf.utils.tables import bytes_words, duration_words, sections

Rows = list[tuple[str, ...]]
NOTE = (
    "Nothing was trained or written. Times are of this machine, from a few steps of"
    f" {estimates.PROBE_IMAGES} images; expect them to be wrong by a factor of 2."
)


def preview_words(config: Config, run: RunDirectory, todo: Sequence[str]) -> str:
    """All that a command would do, for the terminal.

    Args:
        config: all settings.
        run: the run directory.
        todo: the stages that are not finished.

    Raises:
        ValueError: data or settings that the command itself would refuse.
    """
    planned = Experiment(config, run, *counted_data(config))
    of_stages = [
        (stage, "to be done" if stage in todo else "finished") for stage in config.stage_names
    ]
    shown: list[tuple[str, Rows]] = [
        (f"Run directory {run.root}", of_stages),
        ("Settings that differ from the defaults", settings_rows(config)),
        ("Data", data_rows(planned)),
    ]
    if config.is_external:
        shown += [("Encoder", external_rows(config)), ("Audit", external_audit_rows(config))]
    else:
        shown += of_networks(planned, todo)
    return f"\n{sections(shown)}\n\n{NOTE}"


def settings_rows(config: Config) -> Rows:
    """(flag, value, default) of every setting that has another value."""
    defaults = {field.name: field.default for field in dataclasses.fields(Config)}
    return [
        (f"--{name}={value}", f"default {defaults[name]!r}")
        for name, value in as_dict(config).items()
        if value != defaults[name] and name != "dry_run"
    ]


def counted_data(config: Config) -> tuple[ImageSet, Splits]:
    """The rows of the data set and their parts; its images have no pixels, for none is read."""
    if config.codes:
        images = image_sets.choose_task(experiment.recorded(config).images, config.task_attributes)
    else:
        images = counted(config, config.dataset, config.data_dir, config.task_attributes)
    other = None
    if config.public_dataset:
        other = counted(config, config.public_dataset, config.public_data_dir, "")
    return public_data.split_parts(
        images, other, subset(config, SplitSettings), experiment.task_flags(config)
    )


def counted(config: Config, dataset: str, data_dir: str, task_attributes: str) -> ImageSet:
    """A data set's labels without its pixels."""
    settings = dataclasses.replace(
        subset(config, DataSettings),
        dataset=dataset,
        data_dir=data_dir,
        task_attributes=task_attributes,
    )
    source = image_sets.open_source(settings)
    rows = np.arange(len(source.names))
    everything = image_sets.labels_of(source, rows, settings.identity_measures)
    return image_sets.choose_task(everything, task_attributes)


def data_rows(planned: Experiment) -> Rows:
    """Images, attributes, sizes of the parts, and what the prepared images take on disk."""
    config, images = planned.config, planned.images
    people = len(np.unique(images.identities))
    prepared = len(images.names) * config.image_size**2 * 3
    return [
        ("images", f"{len(images.names)} of {people} people, {config.image_size} pixels wide"),
        ("attributes of the task", str(len(images.attribute_names))),
        *((name, f"{len(rows)} images") for name, rows in planned.parts.parts().items()),
        ("prepared images on disk", bytes_words(prepared)),
    ]


def external_rows(config: Config) -> Rows:
    """What is audited, where arl_tf did not train it."""
    if config.codes:
        shape = experiment.recorded(config).code_shape
        return [("recorded codes", config.codes), ("code", shape_words(shape))]
    return [
        (f"--{name}", getattr(config, name))
        for name in ("encoder_saved_model", "encoder_tflite", "task_head_saved_model")
        if getattr(config, name)
    ]


def external_audit_rows(config: Config) -> Rows:
    """The attackers of what arl_tf did not train, and their time where the codes are at hand."""
    if config.codes:
        code_shape = experiment.recorded(config).codes.shape[1:]
        features = audits.features(config)
        options = audits.attacker_options(config)
        speed = estimates.attacker_speed(options, code_shape, config.image_size, features)
        return audit_rows(config, code_shape, speed)
    return [
        attackers_row(config),
        ("trainings of the attackers", "told when the audit begins: nothing is loaded before"),
    ]


def of_networks(planned: Experiment, todo: Sequence[str]) -> list[tuple[str, Rows]]:
    """Networks, times and memory of a run that trains, or that was trained here."""
    config, images = planned.config, planned.images
    settings = subset(config, TrainingSettings)
    side = config.image_size
    mean = np.full((side, side, 3), 0.5, np.float32)
    learner = building.build_learner(settings, len(images.attribute_names), mean)
    network = perceptual.perceptual_network(config.perceptual, side, config.perceptual_layer_names)
    steps = train.steps_per_epoch(settings, planned.parts)
    labels_shape, task = (len(images.attribute_names),), task_of(images.task_kind)
    phases = estimates.timed_phases(learner, settings, steps, labels_shape, task)
    speed = estimates.multiply_adds_per_second(phases, learner, network, config.batch_size)
    fights = trains_decoders(config.defence)
    shown = [("Networks", network_rows(learner, network if fights else None))]
    if set(todo) & set(ALONE):
        shown.append(("Points", trial_rows(planned, phases)))
    if "train" in todo:
        shown.append(("Training", training_rows(phases)))
    if "audit" in todo:
        shown.append(("Audit", audit_rows(config, learner.encoder.output_shape[1:], speed)))
    return [
        *shown,
        ("Memory of a training", memory_rows(config, learner, network, phases[-1].phase)),
    ]


def network_rows(learner: AdversarialRepresentationLearner, network: keras.Model | None) -> Rows:
    """Shapes, parameters and multiply-adds of one image, by network.

    `network` is g; None where the defence trains no decoders, and has no use for g either.
    """
    code = learner.encoder.output_shape[1:]
    header = ("", "output", "parameters", "multiply-adds of an image")
    named = [
        ("encoder (device)", learner.encoder),
        ("task head (server)", learner.task_head),
    ]
    if network is not None:
        named += [(decoder.name, decoder) for decoder in learner.decoders]
        named.append(("perceptual network g", network))
    rows = [(name, *network_cells(model)) for name, model in named]
    size = f"{shape_words(code)}, {bytes_words(4 * int(np.prod(code)))} in float32"
    return [header, *rows, ("code", size)]


def network_cells(model: keras.Model) -> tuple[str, str, str]:
    """(output shape, parameters, multiply-adds) of a network."""
    outputs = keras.tree.flatten(model.outputs)
    shape = shape_words(outputs[0].shape[1:]) if len(outputs) == 1 else f"{len(outputs)} maps"
    return shape, f"{model.count_params():,}", f"{costs.multiply_adds(model):,}"


def shape_words(shape: Sequence[Any]) -> str:
    """A shape for people: "8 x 8 x 32"."""
    return " x ".join(map(str, shape))


def training_rows(phases: Sequence[estimates.PhaseTime]) -> Rows:
    """Epochs, steps and time of every phase, and the sum."""
    rows = [
        (
            each.phase,
            f"{each.epochs} epochs of {each.steps} steps",
            f"{each.step_seconds:.3f} s a step",
            f"about {duration_words(each.seconds)}",
        )
        for each in phases
    ]
    total = sum(each.seconds for each in phases)
    return [*rows, ("all phases", "", "", f"about {duration_words(total)}")]


def audit_rows(config: Config, code_shape: Sequence[int], speed: float) -> Rows:
    """Attackers, and how long their trainings take at most."""
    attackers = registry.attackers_of(config.audit, config.attacker_names)
    counted = estimates.audit_multiply_adds(
        attackers,
        audits.attacker_options(config),
        tuple(code_shape),
        config.image_size,
        config.audit_seeds,
    )
    return [
        attackers_row(config),
        ("trainings of the attackers", f"very roughly {duration_words(counted / speed)} at most"),
    ]


def attackers_row(config: Config) -> tuple[str, ...]:
    """How many attackers there are at most: some need what a black box does not give."""
    count = len(registry.attackers_of(config.audit, config.attacker_names))
    if config.attacker_names:
        return ("attackers", f"{count}, named by --attackers")
    return ("attackers", f"{count} of level {config.audit}")


def trial_rows(planned: Experiment, phases: Sequence[estimates.PhaseTime]) -> Rows:
    """How many points a sweep or study has, and how long all of them take."""
    config = planned.config
    trials = planned_trials(config, planned.images)
    seconds = trial_forecast.forecast(config, trials, planned.parts, phases[0].step_seconds)
    rows = [
        ("points", str(len(trials))),
        ("all points", f"very roughly {duration_words(seconds)}"),
    ]
    if "bench" in config.stage_names:
        rows.append(("audits on T", f"by the attackers of level {config.audit}, not counted"))
    return rows


def memory_rows(
    config: Config, learner: AdversarialRepresentationLearner, network: keras.Model, phase: str
) -> Rows:
    """What a training keeps in memory, in parts, in its last phase; images are read from disk."""
    fights = trains_decoders(config.defence)
    state = estimates.state_bytes(learner, trains_decoders=fights)
    activations = estimates.step_bytes(learner, network, config.batch_size, phase)
    held = peak_bytes()
    return [
        ("this process now, with the libraries", bytes_words(held)),
        ("weights, gradients, moments", bytes_words(state)),
        (f"activations of a step of {config.batch_size} images", bytes_words(activations)),
        ("in all, very roughly", bytes_words(held + activations)),
    ]
