"""A development server that speaks TF Serving's protocol, gRPC and REST. It is not TF Serving.

python -m serving.local_server --model_base_path=runs/demo/export/saved_model
"""

import dataclasses
import pathlib
import signal
import sys
import threading

import grpc
from absl import app, flags, logging

from serving.server import batching
from serving.server.endpoints import LocalServer, Settings, bracketed
from serving.server.errors import ServingError
from serving.server.validation import Limits
from serving.web import demo

DEFAULTS = Settings(model_base_path=pathlib.Path())
# Name, default, (least and greatest value,) help.
TEXTS = (
    (
        "model_base_path",
        None,
        "Folder that holds a folder a model, each with numbered version folders, as a run's"
        " export/saved_model does.",
    ),
    (
        "model_config_file",
        None,
        "Goes before --model_base_path: a ModelServerConfig in text format, with version policies"
        " and labels. Read again at every poll.",
    ),
    (
        "model_name",
        None,
        "Name of the one model whose version folders --model_base_path then holds, as TF Serving"
        " takes it.",
    ),
    ("host", DEFAULTS.host, "Address to listen at; 0.0.0.0 for every one."),
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
    ("port", DEFAULTS.port, 0, 65535, "gRPC's port; 0: any that is free."),
    ("rest_api_port", DEFAULTS.rest_api_port, 0, 65535, "REST's port; 0: any that is free."),
    (
        "max_num_load_retries",
        DEFAULTS.max_num_load_retries,
        0,
        None,
        "How often a version that can't be loaded is tried again; a change in its folder starts"
        " anew.",
    ),
    (
        "rest_api_timeout_in_ms",
        round(1000 * DEFAULTS.rest_api_timeout),
        1,
        None,
        "Milliseconds for a REST request, the reading of its body included.",
    ),
    (
        "rest_api_num_threads",
        DEFAULTS.rest_api_num_threads,
        1,
        None,
        "REST requests that are worked on at once.",
    ),
    (
        "grpc_max_threads",
        DEFAULTS.grpc_max_threads,
        1,
        None,
        "gRPC requests that are worked on at once.",
    ),
    ("max_request_items", DEFAULTS.limits.items, 1, None, "Items of a request, at most."),
    (
        "max_request_pixels",
        DEFAULTS.limits.pixels,
        1,
        None,
        "Pixels of a request's JPEG and PNG files together when decoded, at most.",
    ),
    ("max_request_bytes", DEFAULTS.limits.request_bytes, 1, None, "Bytes of a request, at most."),
)
BOOLEANS = (
    ("enable_batching", False, "Merge requests that wait at the same time."),
    (
        "allow_version_labels_for_unavailable_models",
        DEFAULTS.allow_version_labels_for_unavailable_models,
        "A label of --model_config_file that is new, or stays where it is, may name a version that"
        " is not served yet. A config with labels needs it to start.",
    ),
    (
        "rest_api_enable_cors_support",
        DEFAULTS.rest_api_enable_cors_support,
        "Answer REST with CORS headers, so that pages of other origins may call it.",
    ),
    (
        "enable_serialization_as_tensor_content",
        DEFAULTS.enable_serialization_as_tensor_content,
        "gRPC's Predict answers with tensor_content instead of float_val and its like.",
    ),
)
SECONDS = (
    (
        "file_system_poll_wait_seconds",
        DEFAULTS.file_system_poll_wait_seconds,
        "Seconds between two looks at the version folders. A new one has to look the same twice.",
    ),
    ("drain_seconds", 30.0, "After SIGTERM or SIGINT, how long requests under way may take."),
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
    try:
        settings = settings_from_flags(values)
        paths = (path_or_none(values[name].value) for name in ("demo_attacker", "demo_encoder"))
        return settings, LocalServer(settings, demo.pages(*paths))
    except ServingError as error:
        remedy = ""
        if error.code == grpc.StatusCode.FAILED_PRECONDITION:
            remedy = " Remedy: --allow_version_labels_for_unavailable_models."
        sys.exit(f"serving.local_server: {error.code.name}: {error.message}.{remedy}")
    except (OSError, ValueError) as error:
        sys.exit(f"serving.local_server: {error}")


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
        raise app.UsageError(f"unexpected arguments: {' '.join(argv[1:])}")
    logging.use_absl_handler()
    run(flags.FLAGS)


if __name__ == "__main__":
    define_flags()
    app.run(main)
