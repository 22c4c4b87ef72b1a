"""A development server that speaks TF Serving's protocol, gRPC and REST. It is not TF Serving.

python -m serving.local_server --model_base_path=runs/demo/export/saved_model
"""

from __future__ import annotations

import dataclasses
import pathlib
import signal
import sys
import threading
from typing import TYPE_CHECKING, NoReturn

from serving.utils import interruption

if __name__ == "__main__":
    interruption.at_once("serving.local_server")

from absl import app, flags, logging

from serving.utils import flagfiles, usage
from serving.utils.path_values import clean_path

# The server itself is imported late: --help and wrong flags are answered without TensorFlow.
if TYPE_CHECKING:
    from serving.server.endpoints import LocalServer, Settings

INTRODUCTION = """\
A development server that speaks TF Serving's protocol, gRPC and REST. It is not TF Serving.

Usage: python -m serving.local_server --model_base_path=FOLDER [--name=value ...]

Examples:
  python -m serving.local_server --model_base_path=runs/demo/export/saved_model
      Serves every model of a run, and a demo page.
  python -m serving.local_server --model_config_file=FILE \\
      --allow_version_labels_for_unavailable_models --enable_batching
      Serves what a file like serving/models.config names, with the paths of your export, and merges
      requests that wait.
  python -m serving.local_server --model_base_path=runs/demo/export/saved_model \\
      --demo_attacker=runs/demo/export/demo_attacker
      Shows on the demo page what attackers make of a code.
"""
# Flags that name files and folders.
PATHS = (
    "model_base_path",
    "model_config_file",
    "batching_parameters_file",
    "demo_attacker",
    "demo_encoder",
)
# Name, default, (least and greatest value,) help. The defaults are those of `Settings`, which can't
# be imported here; a test compares them.
TEXTS = (
    (
        "model_base_path",
        None,
        "Folder that holds a folder for each model, which holds numbered version folders, as in a"
        " run's export/saved_model.",
    ),
    (
        "model_config_file",
        None,
        "A ModelServerConfig in text format, with version policies and labels. The server then"
        " ignores --model_base_path, and reads this file again at every poll.",
    ),
    (
        "model_name",
        None,
        "Name of the one model whose version folders --model_base_path then holds, as TF Serving"
        " takes it.",
    ),
    ("host", "127.0.0.1", "Address to listen at; 0.0.0.0: all addresses."),
    (
        "batching_parameters_file",
        None,
        "BatchingParameters in text format, with --enable_batching.",
    ),
    (
        "demo_attacker",
        None,
        "Folder with the SavedModels protected, task_output, unprotected_encoder and unprotected,"
        " for the attacks on the demo page; serving/README.md says what they take and return.",
    ),
    (
        "demo_encoder",
        None,
        "The .tflite file that the demo page runs in the browser; none: the one that was exported"
        " with the served encoder.",
    ),
)
INTEGERS = (
    ("port", 8500, 0, 65535, "gRPC's port; 0: any that is free."),
    ("rest_api_port", 8501, 0, 65535, "REST's port; 0: any that is free."),
    (
        "max_num_load_retries",
        5,
        0,
        None,
        "How often a version that can't be loaded is tried again. After a change in its folder the"
        " count starts again.",
    ),
    (
        "rest_api_timeout_in_ms",
        30_000,
        1,
        None,
        "Milliseconds for a REST request, the reading of its body included.",
    ),
    (
        "rest_api_num_threads",
        8,
        1,
        None,
        "REST requests that are worked on at once.",
    ),
    (
        "grpc_max_threads",
        16,
        1,
        None,
        "gRPC requests that are worked on at once.",
    ),
    ("max_request_items", 1024, 1, None, "Items of a request, at most."),
    (
        "max_request_pixels",
        100_000_000,
        1,
        None,
        "Pixels of a request's picture files together when decoded, at most; and of those of merged"
        " requests.",
    ),
    ("max_request_bytes", 32 * 2**20, 1, None, "Bytes of a request, at most."),
)
BOOLEANS = (
    ("enable_batching", False, "Merge requests that wait at the same time."),
    (
        "allow_version_labels_for_unavailable_models",
        False,
        "A label of --model_config_file that is new, or stays where it is, may name a version that"
        " is not served yet. A config with labels needs it to start.",
    ),
    (
        "rest_api_enable_cors_support",
        False,
        "Answer REST with CORS headers, so that pages of other origins may call it.",
    ),
    (
        "enable_serialization_as_tensor_content",
        False,
        "gRPC's Predict answers with tensor_content instead of float_val and similar fields.",
    ),
)
SECONDS = (
    (
        "file_system_poll_wait_seconds",
        1.0,
        "Seconds between two looks at the version folders. A new one has to look the same twice.",
    ),
    (
        "drain_seconds",
        30.0,
        "Seconds that requests under way may still take after SIGTERM or SIGINT.",
    ),
)


# --helpfull's order; --help shows MOST_USED.
TOPICS = {
    "Models": (
        "model_base_path",
        "model_name",
        "model_config_file",
        "allow_version_labels_for_unavailable_models",
        "file_system_poll_wait_seconds",
        "max_num_load_retries",
    ),
    "Addresses": ("host", "port", "rest_api_port", "rest_api_enable_cors_support"),
    "Requests": (
        "enable_batching",
        "batching_parameters_file",
        "rest_api_timeout_in_ms",
        "rest_api_num_threads",
        "grpc_max_threads",
        "max_request_items",
        "max_request_pixels",
        "max_request_bytes",
        "enable_serialization_as_tensor_content",
        "drain_seconds",
    ),
    "Demo page": ("demo_attacker", "demo_encoder"),
}
MOST_USED = (
    "model_base_path",
    "model_name",
    "model_config_file",
    "host",
    "port",
    "rest_api_port",
    "enable_batching",
    "batching_parameters_file",
    "rest_api_timeout_in_ms",
    "max_request_bytes",
    "drain_seconds",
    "demo_attacker",
)


def define_flags(values: flags.FlagValues = flags.FLAGS) -> None:
    """Defines the flags in `values`, named as TF Serving's where it has them."""
    for name, default, text in TEXTS:
        flags.DEFINE_string(name, default, text, flag_values=values)
    for name, default, least, most, text in INTEGERS:
        flags.DEFINE_integer(name, default, text, least, most, flag_values=values)
    for name, default, text in SECONDS:
        flags.DEFINE_float(name, default, text, 0.0, flag_values=values)
    for name, default, text in BOOLEANS:
        flags.DEFINE_bool(name, default, text, flag_values=values)
    flags.DEFINE_alias("enable_cors_support", "rest_api_enable_cors_support", flag_values=values)


def settings_from_flags(values: flags.FlagValues) -> Settings:
    """The server's settings.

    Raises:
        OSError, ValueError: a value, or a file that one names, is no good.
    """
    from serving.server import batching
    from serving.server.endpoints import Settings
    from serving.server.validation import Limits

    for name in PATHS:
        values[name].value = clean_path(name, values[name].value or "") or None
    if values.batching_parameters_file and not values.enable_batching:
        raise ValueError("--batching_parameters_file needs --enable_batching.")
    parameters = batching.NO_MERGING
    if values.enable_batching:
        file = path_or_none(values.batching_parameters_file)
        parameters = batching.read_parameters(file) if file else batching.BatchingParameters()
    same = {field.name for field in dataclasses.fields(Settings)} & set(values)
    paths = ("model_base_path", "model_config_file")
    return Settings(
        **{name: values[name].value for name in same - set(paths)},
        **{name: path_or_none(values[name].value) for name in paths},
        batching=parameters,
        limits=Limits(
            items=values.max_request_items,
            pixels=values.max_request_pixels,
            request_bytes=values.max_request_bytes,
        ),
        rest_api_timeout=values.rest_api_timeout_in_ms / 1000,
    )


def path_or_none(value: str | None) -> pathlib.Path | None:
    """A path flag's value; None where the flag was not given."""
    return pathlib.Path(value).expanduser() if value else None


def prepared(values: flags.FlagValues) -> tuple[Settings, LocalServer]:
    """A server with its models loaded and its ports bound.

    Raises:
        SystemExit: it can't be had; it says why.
    """
    # TensorFlow alone takes seconds to load, in which nothing else is heard.
    print("Loading TensorFlow and the models.", flush=True)
    import grpc

    from serving.server.endpoints import LocalServer
    from serving.server.errors import ServingError
    from serving.web import demo

    try:
        settings = settings_from_flags(values)
        paths = (path_or_none(values[name].value) for name in ("demo_attacker", "demo_encoder"))
        return settings, LocalServer(settings, demo.pages(*paths))
    except ServingError as error:
        remedy = ""
        if error.code == grpc.StatusCode.FAILED_PRECONDITION:
            remedy = " Remedy: --allow_version_labels_for_unavailable_models."
        refuse(f"{error.code.name}: {error.message}.{remedy}")
    except (OSError, ValueError) as error:
        refuse(error)


def run(values: flags.FlagValues) -> None:
    """Serves until SIGTERM or SIGINT, then drains.

    Raises:
        SystemExit: the server can't be started; it says why.
    """
    settings, server = prepared(values)
    # Only now: while models are being loaded there is nothing to drain.
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    server.start()
    from serving.server.endpoints import bracketed

    host = bracketed(settings.host)
    print(
        f"Speaks TF Serving's protocol: gRPC at {host}:{server.port},"
        f" REST and a demo page at http://{host}:{server.rest_api_port}; models:"
        f" {', '.join(server.store.names()) or 'none yet'}.",
        flush=True,
    )
    stop.wait()
    print("Draining.", flush=True)
    server.stop(values.drain_seconds)
    print("Stopped.", flush=True)


def main(argv: list[str]) -> None:
    """The command."""
    if len(argv) > 1:
        refuse(f"Unexpected argument {argv[1]!r}: every setting is a --flag=value.")
    logging.use_absl_handler()
    run(flags.FLAGS)


def parse(argv: list[str]) -> list[str]:
    """Reads the command line and its flag files; answers --help and what is wrong."""
    text = usage.asked_for(argv[1:], INTRODUCTION, TOPICS, MOST_USED, flags.FLAGS)
    if text:
        print(text)
        sys.exit()
    try:
        return flags.FLAGS([argv[0], *flagfiles.expand(argv[1:])[0]])
    except flags.Error as error:
        refuse(usage.parsing_error(error, [name for names in TOPICS.values() for name in names]))
    except ValueError as error:
        refuse(error)


def refuse(message: object) -> NoReturn:
    """Says what is wrong with the command line or what it names, and ends the process."""
    print(f"serving.local_server: {message}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    define_flags()
    with interruption.in_one_line("serving.local_server", "the server had not started."):
        app.run(main, flags_parser=parse)
