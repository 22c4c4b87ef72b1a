"""Load test: python -m serving.load_test --rest=HOST:PORT --grpc=HOST:PORT --saved_model=DIR.

Calls a server on this machine with the same request again and again, at several concurrencies,
and compares with as many callers of the SavedModel in this process, at the same batch size. The
request is built once and a REST answer isn't parsed, so that the server is measured and not the
client; still both share the machine's cores. Nothing is repeated: an error counts as one.
"""

import argparse
import contextlib
import dataclasses
import io
import ipaddress
import json
import os
import urllib.parse
from collections.abc import Callable, Iterator, Sequence

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from serving.utils import interruption

if __name__ == "__main__":
    interruption.at_once("load_test")

import numpy as np
from PIL import Image

from serving.clients.contract import ENCODE, ENCODE_BYTES, READ
from serving.clients.errors import EncoderError
from serving.clients.load import IN_PROCESS, Load, measure, ratios
from serving.clients.rest_client import EncoderClient, base_address
from serving.utils.path_argument import path_argument

# By the client's method: signature, and the model's usual name.
METHODS = {
    "encode": (ENCODE, "encoder"),
    "encode_files": (ENCODE_BYTES, "encoder"),
    "read_attributes": (READ, "task_head"),
}
PICTURE_SIDE = 128
MOST_CALLS = 100_000
LONGEST_S = 600.0
MOST_CONCURRENCY = 256


def main(arguments: list[str] | None = None) -> None:
    """The command line; exits with 0, 1 (a server or model failed) or 2 (wrong usage)."""
    parser, options = parse(arguments)
    try:
        rows, in_process = load_model(options)
        results = measure_all(rows, in_process, options)
    except (ValueError, OSError, EncoderError) as error:
        parser.exit(1, f"error: {error}\n")
    report = summary(results, options)
    if not options.json:
        print_table(results, report["ratios"])
    print(json.dumps(report))
    if any(result.errors for result in results):
        parser.exit(1)


def parse(arguments: list[str] | None) -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    """Reads the command line; exits with 2 where it can't be meant."""
    parser = argparse.ArgumentParser(
        prog="python -m serving.load_test",
        description="Throughput and latency of a server on this machine, compared with calls of the"
        " same model in this process.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--rest", type=local_address, metavar="HOST:PORT", help="REST, on this machine only")
    add("--grpc", type=local_address, metavar="HOST:PORT", help="gRPC, on this machine only")
    add(
        "--saved_model",
        required=True,
        type=path_argument("saved_model"),
        metavar="DIR",
        help="the version folder that is served",
    )
    add(
        "--method",
        choices=sorted(METHODS),
        default="read_attributes",
        help="what is called: encode sends prepared images (on gRPC only), encode_files JPEGs of"
        f" {PICTURE_SIDE} pixels, read_attributes codes (default: %(default)s)",
    )
    add("--model", help="the model's name on the server; default: encoder or task_head")
    add("--batch_size", type=bounded(int, 1, 4096), default=32, help="default: %(default)s")
    add(
        "--concurrency",
        type=lambda text: [bounded(int, 1, MOST_CONCURRENCY)(part) for part in text.split(",")],
        default=[1, 4, 16],
        metavar="N,N,...",
        help="callers at a time (default: 1,4,16)",
    )
    add(
        "--calls",
        type=bounded(int, 1, MOST_CALLS),
        default=200,
        help="most calls a measurement (default: %(default)s)",
    )
    add(
        "--seconds",
        type=bounded(float, 0.01, LONGEST_S),
        default=15.0,
        help="longest measurement; calls that are under way are waited for (default: %(default)g)",
    )
    add("--json", action="store_true", help="print the JSON object only")
    options = parser.parse_args(arguments)
    if not (options.rest or options.grpc):
        parser.error("give --rest=HOST:PORT, --grpc=HOST:PORT, or both")
    if options.rest and options.method == "encode":
        parser.error("--method=encode is for --grpc; over REST, images are sent as encode_files")
    options.signature, usual_name = METHODS[options.method]
    options.model = options.model or usual_name
    return parser, options


def bounded(kind: Callable, least: float, most: float) -> Callable[[str], float]:
    """A parser of numbers in a range, for argparse."""

    def parse_number(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not least <= value <= most:
            raise argparse.ArgumentTypeError(f"expected from {least} to {most}, got {text!r}")
        return value

    return parse_number


def local_address(address: str) -> str:
    """HOST:PORT, where HOST is this machine: load is nothing to send to others.

    Raises:
        argparse.ArgumentTypeError: it is not; no name is looked up.
    """
    try:
        parsed = urllib.parse.urlsplit(base_address(address))
        is_plain = parsed.scheme == "http" and not parsed.path.strip("/")
        is_local = is_plain and (
            parsed.hostname == "localhost" or ipaddress.ip_address(parsed.hostname).is_loopback
        )
    except ValueError:
        is_local = False
    if not is_local or not parsed.port:
        raise argparse.ArgumentTypeError(
            f"expected localhost:PORT, 127.0.0.1:PORT or [::1]:PORT, got {address!r}"
        )
    return parsed.netloc


def load_model(options: argparse.Namespace) -> tuple[Sequence, Callable[[], object]]:
    """Loads the model that is served.

    Returns:
        Random rows for its input, and a function that runs it on them.

    Raises:
        ValueError: there is no SavedModel with that signature.
    """
    # Late, as in grpc_calls: --help is answered without TensorFlow.
    import tensorflow as tf

    from serving.utils import saved_model_loading

    path, signature = options.saved_model, options.signature
    try:
        model = saved_model_loading.load(path)
    except OSError as error:
        raise ValueError(f"{path} holds no SavedModel: {error}") from error
    function = model.signatures.get(signature.name)
    inputs = function.structured_input_signature[1] if function else {}
    if signature.input_name not in inputs:
        raise ValueError(
            f"{path} has the signatures {sorted(model.signatures)}; expected {signature.name} with"
            f" the input {signature.input_name}."
        )
    shape = (options.batch_size, *inputs[signature.input_name].shape[1:])
    rows = RANDOM_ROWS[signature.dtype](np.random.default_rng(0), shape)
    tensor = tf.constant(rows)

    def run() -> object:
        # `model` is captured on purpose: signatures hold weak references to its variables.
        outputs = model.signatures[signature.name](**{signature.input_name: tensor})
        return [output.numpy() for output in outputs.values()]

    return rows, run


def random_jpegs(rng: np.random.Generator, shape: tuple[int, ...]) -> list[bytes]:
    """Files of smooth random pictures, about as large as photos of that size."""
    files = []
    for pixels in rng.integers(0, 256, (*shape, 8, 8, 3), np.uint8):
        file = io.BytesIO()
        picture = Image.fromarray(pixels).resize((PICTURE_SIDE, PICTURE_SIDE))
        picture.save(file, "JPEG", quality=90)
        files.append(file.getvalue())
    return files


RANDOM_ROWS = {
    "bytes": random_jpegs,
    "uint8": lambda rng, shape: rng.integers(0, 256, shape, np.uint8),
    "float32": lambda rng, shape: rng.standard_normal(shape, np.float32),
}


def measure_all(
    rows: Sequence, in_process: Callable[[], object], options: argparse.Namespace
) -> list[Load]:
    """Measures every endpoint that was asked for, beside calls in this process."""
    addresses = {"rest": options.rest, "grpc": options.grpc}
    with contextlib.ExitStack() as opened:
        actions = {IN_PROCESS: in_process} | {
            protocol: opened.enter_context(CALLS[protocol](address, options, rows))
            for protocol, address in addresses.items()
            if address
        }
        loads = [
            measure(
                actions,
                concurrency,
                calls=options.calls,
                longest_s=options.seconds,
                batch_size=options.batch_size,
            )
            for concurrency in options.concurrency
        ]
    return [load for group in loads for load in group]


@contextlib.contextmanager
def rest_call(
    address: str, options: argparse.Namespace, rows: Sequence
) -> Iterator[Callable[[], object]]:
    """A function that makes one REST call, by the signature that the client takes."""
    connections = max(options.concurrency)
    with EncoderClient(address, retries=0, max_connections=connections) as client:
        _, content = client.predict_call(options.model, options.signature, rows)
        path = f"{client.model_path(options.model)}:predict"
        yield lambda: client.send("POST", path, content)


@contextlib.contextmanager
def grpc_call(
    address: str, options: argparse.Namespace, rows: Sequence
) -> Iterator[Callable[[], object]]:
    """A function that makes one gRPC call."""
    from serving.clients.grpc_client import GrpcEncoderClient

    with GrpcEncoderClient(address, retries=0) as client:
        request = client.predict_request(options.model, options.signature, rows)
        yield lambda: client.call("Predict", request)


CALLS = {"rest": rest_call, "grpc": grpc_call}


def summary(results: list[Load], options: argparse.Namespace) -> dict[str, object]:
    """The report's JSON: the measurements, and each endpoint's ratio to calls in this process."""
    return {
        "method": options.method,
        "model": options.model,
        "batch_size": options.batch_size,
        "ratios": ratios(results),
        "measurements": [dataclasses.asdict(result) for result in results],
    }


def print_table(results: list[Load], found: dict[str, float]) -> None:
    """Prints the measurements for people."""
    head = ("endpoint", "callers", "calls", "errors", "items/s", "ratio", "p50 ms", "p95", "p99")
    print("{:10s} {:>7s} {:>6s} {:>6s} {:>9s} {:>6s} {:>8s} {:>8s} {:>8s}".format(*head))
    for result in results:
        ratio = found.get(f"{result.protocol}_{result.concurrency}", 1.0)
        print(
            f"{result.protocol:10s} {result.concurrency:7d} {result.calls:6d} {result.errors:6d}"
            f" {result.items_per_second:9.1f} {ratio:6.2f} {result.p50_ms:8.1f}"
            f" {result.p95_ms:8.1f} {result.p99_ms:8.1f}"
        )
        if result.errors:
            print(f"    first error: {result.first_error}")


if __name__ == "__main__":
    with interruption.in_one_line("load_test", "nothing is kept; start the command again."):
        main()
