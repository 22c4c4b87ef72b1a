"""Keras as arl_tf needs it, whatever the user's own settings say.

Keras reads its variables and keras.json once, when it is imported. arl_tf's package calls `prepare`
before any of its modules can import Keras, so the order of a user's imports makes no difference.
This module imports neither Keras nor TensorFlow: `--help` is answered without them.
"""

import atexit
import json
import logging
import os
import pathlib
import shutil
import sys
import tempfile
from collections.abc import MutableMapping
from typing import Any

# What keras.json may say; everything else there is not read by what arl_tf uses.
NEEDED = {
    "floatx": "float32",
    "epsilon": 1e-7,
    "image_data_format": "channels_last",
    "nnx_enabled": False,
}
BACKEND = "tensorflow"
# Variable -> the values that leave arl_tf as it is. The two limits would cut trainings short while
# config.json says otherwise.
HARMLESS = {
    "KERAS_BACKEND": ("", BACKEND),
    "TF_USE_LEGACY_KERAS": ("", "0", "false", "False"),
    "KERAS_MAX_EPOCHS": (),
    "KERAS_MAX_STEPS_PER_EPOCH": (),
    "KERAS_NNX_ENABLED": ("", "0", "false", "False"),
}
# What Keras keeps in its folder beside keras.json: weights and data sets that it downloaded.
KEPT_FOLDERS = ("models", "datasets")
# A plain logger: without handlers it prints the bare line, and a program that has handlers gets it.
_log = logging.getLogger("arl_tf")


def prepare() -> None:
    """Sets what arl_tf needs for this process, with a line for each setting that it sets aside.

    Raises:
        RuntimeError: Keras is imported already and works otherwise than arl_tf needs.
    """
    if "keras" in sys.modules:
        check_imported(sys.modules["keras"])
        return
    set_variables(os.environ)
    file = config_file(os.environ)
    differing = differing_settings(file)
    if differing:
        _log.warning("arl_tf ignores %s of %s in this process", ", ".join(differing), shown(file))
        os.environ["KERAS_HOME"] = str(folder_without_settings(file.parent))


def set_variables(environ: MutableMapping[str, str]) -> None:
    """Removes the variables that would change what arl_tf computes, and names the backend."""
    for name, harmless in HARMLESS.items():
        value = environ.get(name)
        if value is not None and value not in harmless:
            _log.warning("arl_tf ignores %s=%s in this process", name, value)
            del environ[name]
    # It outranks the backend that keras.json names.
    environ["KERAS_BACKEND"] = BACKEND


def config_file(environ: MutableMapping[str, str]) -> pathlib.Path:
    """The keras.json that Keras is going to read; it finds its folder as keras/src/backend does."""
    if "KERAS_HOME" in environ:
        return pathlib.Path(os.path.expanduser(environ["KERAS_HOME"])) / "keras.json"
    home = os.path.expanduser("~")
    # Where the home folder can't be written, Keras keeps its own in /tmp.
    return pathlib.Path(home if os.access(home, os.W_OK) else "/tmp") / ".keras" / "keras.json"


def differing_settings(file: pathlib.Path) -> list[str]:
    """What a keras.json says otherwise than arl_tf needs it, as 'name=value'; empty without one."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except OSError as error:
        return [f"all ({error.strerror})"]
    except RecursionError:
        return ["all (nested too deeply)"]
    except ValueError:
        # Keras takes a file that is no JSON for an empty one.
        return []
    if not isinstance(found, dict):
        return [f"all (expected a JSON object, got {type(found).__name__})"]
    return [
        f"{name}={found[name]}"
        for name, value in NEEDED.items()
        if name in found and not same(found[name], value)
    ]


def same(found: Any, needed: Any) -> bool:
    """Whether a setting is the needed one; Keras refuses a whole number where it wants a float."""
    return type(found) is type(needed) and found == needed


def folder_without_settings(home: pathlib.Path) -> pathlib.Path:
    """A temporary KERAS_HOME with Keras' own settings, but with the user's downloads."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="arl_tf_keras_"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for name in KEPT_FOLDERS:
        try:
            (home / name).mkdir(parents=True, exist_ok=True)
            (folder / name).symlink_to((home / name).resolve())
        except OSError:
            # Nothing can be kept there: downloads last as long as this process.
            continue
    return folder


def shown(file: pathlib.Path) -> str:
    """A file's path for messages, with ~ for the home folder."""
    try:
        return f"~/{file.relative_to(pathlib.Path.home())}"
    except (ValueError, RuntimeError):
        return str(file)


def check_imported(keras: Any) -> None:
    """Raises RuntimeError where an imported Keras works otherwise than arl_tf needs.

    It is not changed here: models of the program that imported it go by its settings, too.
    """
    config = keras.config
    found = {
        "backend": (config.backend(), BACKEND),
        "floatx": (config.floatx(), NEEDED["floatx"]),
        "epsilon": (config.epsilon(), NEEDED["epsilon"]),
        "image_data_format": (config.image_data_format(), NEEDED["image_data_format"]),
        "dtype_policy": (config.dtype_policy().name, NEEDED["floatx"]),
        "max_epochs": (config.max_epochs(), None),
        "max_steps_per_epoch": (config.max_steps_per_epoch(), None),
    }
    differing = [
        f"{name}={value} (arl_tf needs {needed})"
        for name, (value, needed) in found.items()
        if value != needed
    ]
    if differing:
        raise RuntimeError(
            f"Keras was imported before arl_tf, with {', '.join(differing)}: import arl_tf first,"
            " or change the setting (keras.json, KERAS_BACKEND or keras.config)."
        )
