"""A development server that speaks TF Serving's protocol, gRPC and REST. It is not TF Serving.

python -m serving.local_server --model_base_path=runs/demo/export/saved_model
"""

import dataclasses
import pathlib
import signal
import sys
import threading

from absl import app, flags, logging

from serving import batching
from serving.server import LocalServer, Settings
from serving.validation import Limits


def define_flags() -> None:
    """Flags, named as TF Serving's where it has them."""
    defaults, limits = Settings(model_base_path=pathlib.Path()), Limits()
    flags.DEFINE_string(
        "model_base_path",
        None,
        "Folder that holds a folder a model, each with numbered version folders, as a run's"
        " export/saved_model does.",
    )
    flags.DEFINE_string(
        "model_config_file",
        None,
        "Instead of --model_base_path: a ModelServerConfig in text format, with version policies"
        " and labels. Read again at every poll.",
    )
    flags.DEFINE_string("host", defaults.host, "Address to listen at; 0.0.0.0 for every one.")
    flags.DEFINE_integer("port", defaults.port, "gRPC's port; 0: any that is free.", 0, 65535)
    flags.DEFINE_integer(
        "rest_api_port", defaults.rest_api_port, "REST's port; 0: any that is free.", 0, 65535
    )
    flags.DEFINE_float(
        "file_system_poll_wait_seconds",
        defaults.file_system_poll_wait_seconds,
        "Seconds between two looks at the version folders. A new one has to look the same twice.",
    )
    flags.DEFINE_integer(
        "max_num_load_retries",
        defaults.max_num_load_retries,
        "How often a version that can't be loaded is tried again; a change in its folder starts"
        " anew.",
        0,
    )
    flags.DEFINE_bool("enable_batching", False, "Merge requests that wait at the same time.")
    flags.DEFINE_string(
        "batching_parameters_file",
        None,
        "BatchingParameters in text format, with --enable_batching.",
    )
    flags.DEFINE_integer(
        "rest_api_timeout_in_ms",
        round(1000 * defaults.rest_api_timeout),
        "Milliseconds for a REST request, the reading of its body included.",
        1,
    )
    flags.DEFINE_integer(
        "rest_api_num_threads",
        defaults.rest_api_num_threads,
        "REST requests that are worked on at once.",
        1,
    )
    flags.DEFINE_integer(
        "grpc_max_threads",
        defaults.grpc_max_threads,
        "gRPC requests that are worked on at once.",
        1,
    )
    flags.DEFINE_integer("max_request_items", limits.items, "Items of a request, at most.", 1)
    flags.DEFINE_integer(
        "max_request_pixels",
        limits.pixels,
        "Pixels of a request's JPEG and PNG files together when decoded, at most.",
        1,
    )
    flags.DEFINE_integer(
        "max_request_bytes", limits.request_bytes, "Bytes of a request, at most.", 1
    )
    flags.DEFINE_float(
        "drain_seconds",
        30.0,
        "After SIGTERM or SIGINT, how long requests under way may take.",
        0.0,
    )


def settings_from_flags(values: flags.FlagValues) -> Settings:
    """The server's settings.

    Raises:
        OSError, ValueError: a value, or a file that one names, is no good.
    """
    if values.batching_parameters_file and not values.enable_batching:
        raise ValueError("--batching_parameters_file needs --enable_batching.")
    parameters = batching.NO_MERGING
    if values.enable_batching:
        file = values.batching_parameters_file
        parameters = batching.read_parameters(file) if file else batching.BatchingParameters()
    same = {field.name for field in dataclasses.fields(Settings)} & set(values)
    paths = ("model_base_path", "model_config_file")
    return Settings(
        **{name: values[name].value for name in same - set(paths)},
        **{
            name: pathlib.Path(values[name].value) if values[name].value else None for name in paths
        },
        batching=parameters,
        limits=Limits(
            items=values.max_request_items,
            pixels=values.max_request_pixels,
            request_bytes=values.max_request_bytes,
        ),
        rest_api_timeout=values.rest_api_timeout_in_ms / 1000,
    )


def main(argv: list[str]) -> None:
    """Serves until SIGTERM or SIGINT, then drains."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected arguments: {' '.join(argv[1:])}")
    logging.use_absl_handler()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        settings = settings_from_flags(flags.FLAGS)
        server = LocalServer(settings)
    except (OSError, ValueError) as error:
        sys.exit(f"serving.local_server: {error}")
    server.start()
    print(
        f"Speaks TF Serving's protocol: gRPC at {settings.host}:{server.port},"
        f" REST at http://{settings.host}:{server.rest_api_port}; models:"
        f" {', '.join(server.store.names()) or 'none yet'}.",
        flush=True,
    )
    stop.wait()
    print("Draining.", flush=True)
    server.stop(flags.FLAGS.drain_seconds)
    print("Stopped.", flush=True)


if __name__ == "__main__":
    define_flags()
    app.run(main)
