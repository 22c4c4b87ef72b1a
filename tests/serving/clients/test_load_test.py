"""The load test against stubs: what it counts, its bounds, and where it refuses to go."""

import itertools
import json
import math
import threading
import types

import numpy as np
import pytest
import tensorflow as tf
from saved_models import save_function
from serving_grpc_stub import grpc_stub
from serving_stub import CODE_SHAPE, SIZE, refusing_address, rest_stub
from waiting import LONG

from serving import load_test
from serving.clients import load
from serving.clients.errors import ServerError


@pytest.fixture
def stub():
    with rest_stub() as server:
        yield server


@pytest.fixture(scope="module")
def encoder_dir(tmp_path_factory):
    def encode_bytes(image_bytes, scale):
        length = tf.cast(tf.strings.length(image_bytes), tf.float32)
        return {"code": scale * length[:, None]}

    path = tmp_path_factory.mktemp("encoder") / "1"
    arguments = {"name": "image_bytes", "dtype": tf.string, "signature": "encode_bytes"}
    return save_function(path, (None,), encode_bytes, **arguments)


@pytest.fixture(scope="module")
def image_encoder_dir(tmp_path_factory):
    def encode(image, scale):
        return {"code": scale * tf.cast(image, tf.float32)[:, :2, :2]}

    path = tmp_path_factory.mktemp("image_encoder") / "1"
    return save_function(path, (None, SIZE, SIZE, 3), encode, signature="encode")


@pytest.fixture(scope="module")
def task_head_dir(tmp_path_factory):
    def classify(code, scale):
        logits = scale * tf.reduce_sum(code, (1, 2))
        return {"logits": logits, "probability": tf.sigmoid(logits)}

    path = tmp_path_factory.mktemp("task_head") / "1"
    return save_function(path, (None, *CODE_SHAPE), classify, name="code", dtype=tf.float32)


def run(capsys, *arguments):
    """Runs the command line: (exit code, standard output, standard error)."""
    status = 0
    try:
        # Calls are to end a measurement in these tests, not seconds: the last value of a flag wins.
        load_test.main(["--seconds=600", *map(str, arguments)])
    except SystemExit as end:
        status = end.code
    return (status, *capsys.readouterr())


def test_both_protocols_are_measured_at_every_concurrency(capsys, stub, encoder_dir):
    with grpc_stub() as servicer:
        status, out, _ = run(
            capsys,
            *(f"--rest={stub.address}", f"--grpc={servicer.address}"),
            *(
                f"--saved_model={encoder_dir}",
                "--method=encode_files",
                "--batch_size=2",
                "--concurrency=1,3",
            ),
            *("--calls=7", "--json"),
        )
    report = json.loads(out)
    assert status == 0
    assert [(m["protocol"], m["concurrency"], m["calls"]) for m in report["measurements"]] == [
        (protocol, callers, 7) for callers in (1, 3) for protocol in ("in_process", "rest", "grpc")
    ]
    calls = 2 * (7 + load.WARMUP_CALLS)
    bodies = [body for _, _, body in stub.requests if body]
    assert len(bodies) == len(servicer.requests) == calls
    assert {len(json.loads(body)["inputs"]["image_bytes"]) for body in bodies} == {2}
    for measurement in report["measurements"]:
        assert 0 < measurement["p50_ms"] <= measurement["p95_ms"] <= measurement["p99_ms"]


def test_ratio_is_to_as_many_callers_in_this_process():
    def result(protocol, concurrency, items_per_second):
        return load.Load(protocol, concurrency, 9, 0, "", items_per_second, 1, 2, 3)

    results = [result("in_process", 1, 100), result("in_process", 4, 200), result("rest", 1, 80)]
    assert load.ratios([*results, result("grpc", 4, 150)]) == {"rest_1": 0.8, "grpc_4": 0.75}


def test_task_head_gets_codes(capsys, stub, task_head_dir):
    arguments = (f"--rest={stub.address}", f"--saved_model={task_head_dir}")
    bounds = ("--batch_size=3", "--concurrency=2", "--calls=4")
    status, out, _ = run(capsys, *arguments, *bounds)
    assert status == 0
    lines = out.splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["endpoint", "in_process", "rest"]
    assert json.loads(lines[-1])["model"] == "task_head"
    _, path, body = stub.requests[-1]
    assert path == "/v1/models/task_head:predict"
    assert np.shape(json.loads(body)["inputs"]["code"]) == (3, *CODE_SHAPE)


def test_images_go_over_grpc(capsys, image_encoder_dir):
    with grpc_stub() as servicer:
        arguments = (f"--grpc={servicer.address}", f"--saved_model={image_encoder_dir}")
        status, _, _ = run(capsys, *arguments, "--method=encode", "--batch_size=3", "--calls=2")
    assert status == 0
    image = tf.make_ndarray(servicer.requests[-1].inputs["image"])
    assert (image.shape, image.dtype) == ((3, SIZE, SIZE, 3), np.uint8)


def test_images_over_rest_are_refused(capsys):
    status, _, err = run(capsys, "--rest=localhost:1", "--saved_model=none", "--method=encode")
    assert status == 2
    assert "--method=encode is for --grpc" in err


def test_errors_are_counted_shown_and_end_in_failure(capsys, stub, encoder_dir):
    stub.faults = [None] * load.WARMUP_CALLS + [(500, {"error": "broken"}, {})] * 2
    arguments = (f"--rest={stub.address}", f"--saved_model={encoder_dir}", "--method=encode_files")
    status, out, _ = run(capsys, *arguments, "--calls=5", "--concurrency=1", "--batch_size=1")
    rest = json.loads(out.splitlines()[-1])["measurements"][-1]
    assert status == 1
    assert (rest["calls"], rest["errors"]) == (3, 2)
    assert "first error: http" in out
    assert "answers 500: broken" in rest["first_error"]


def test_busy_server_is_an_error_and_not_asked_again(capsys, stub, encoder_dir):
    stub.faults = [None] * load.WARMUP_CALLS + [(503, {"error": "busy"}, {})] * 4
    arguments = (f"--rest={stub.address}", f"--saved_model={encoder_dir}", "--method=encode_files")
    status, out, _ = run(capsys, *arguments, "--calls=4", "--concurrency=1", "--json")
    rest = json.loads(out)["measurements"][-1]
    assert (status, rest["calls"], rest["errors"], rest["p50_ms"]) == (1, 0, 4, 0.0)
    assert len([body for _, _, body in stub.requests if body]) == load.WARMUP_CALLS + 4


def test_no_call_begins_after_the_deadline(monkeypatch):
    clock = itertools.count()
    monkeypatch.setattr(load, "time", types.SimpleNamespace(perf_counter=lambda: next(clock)))
    # Of a caller's turn the clock tells three times: before it, and how long the call took.
    durations, errors = load.call_in_turns(lambda: None, concurrency=1, calls=10**6, deadline=30)
    assert durations == [1] * 10
    assert not errors


def test_as_many_callers_as_asked_for_call_at_a_time():
    barrier = threading.Barrier(5, timeout=LONG)
    durations, _ = load.call_in_turns(barrier.wait, concurrency=5, calls=10, deadline=math.inf)
    assert len(durations) == 10


def test_actions_take_turns():
    order = []
    actions = {name: lambda name=name: order.append(name) for name in ("a", "b")}
    found = load.measure(actions, 1, calls=8, longest_s=math.inf, batch_size=1)
    warmup = ["a"] * load.WARMUP_CALLS + ["b"] * load.WARMUP_CALLS
    assert order == warmup + ["a", "a", "b", "b"] * 4
    assert [(result.protocol, result.calls) for result in found] == [("a", 8), ("b", 8)]


def test_throughput_and_percentiles_are_computed_by_hand():
    durations = [place / 1000 for place in range(1, 102)]
    found = load.summed_up("rest", 2, durations, [], seconds=4.0, batch_size=8)
    assert found.items_per_second == 101 * 8 / 4
    np.testing.assert_allclose([found.p50_ms, found.p95_ms, found.p99_ms], [51, 96, 100])


def test_caller_goes_on_after_an_error():
    turns = iter([ServerError("once")])

    def action():
        for error in turns:
            raise error

    durations, errors = load.call_in_turns(action, concurrency=1, calls=3, deadline=math.inf)
    assert (len(durations), errors) == (2, ["once"])


@pytest.mark.parametrize("local", ["localhost:8501", "127.0.0.1:80", "127.8.8.8:80", "[::1]:8500"])
def test_this_machine_is_allowed(local):
    assert load_test.local_address(local) == local


@pytest.mark.parametrize(
    "other",
    [
        "example.org:80",
        "10.0.0.1:8501",
        "0.0.0.0:8501",
        "localhost.example.org:80",
        "https://127.0.0.1:8501",
        "http://127.0.0.1:8501/prefix",
        "127.0.0.1.example.org:80",
        "127.0.0.1@example.org:80",
        "localhost",
        "",
    ],
)
@pytest.mark.parametrize("flag", ["--rest", "--grpc"])
def test_other_machines_are_refused(capsys, flag, other):
    status, _, err = run(capsys, f"{flag}={other}", "--saved_model=none")
    assert status == 2
    assert "expected localhost:PORT, 127.0.0.1:PORT or [::1]:PORT" in err


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--calls=100001", "expected from 1 to 100000, got '100001'"),
        ("--calls=many", "expected from 1 to 100000, got 'many'"),
        ("--seconds=601", "expected from 0.01 to 600.0, got '601'"),
        ("--seconds=nan", "expected from 0.01 to 600.0, got 'nan'"),
        ("--concurrency=1,257", "expected from 1 to 256, got '257'"),
        ("--batch_size=0", "expected from 1 to 4096, got '0'"),
    ],
)
def test_count_and_time_are_bounded(capsys, argument, message):
    status, _, err = run(capsys, "--rest=localhost:1", "--saved_model=none", argument)
    assert status == 2
    assert message in err


def test_an_endpoint_is_needed(capsys):
    status, _, err = run(capsys, "--saved_model=none")
    assert status == 2
    assert "give --rest=HOST:PORT, --grpc=HOST:PORT, or both" in err


def test_missing_and_other_models_are_named(capsys, tmp_path, task_head_dir):
    status, _, err = run(capsys, "--rest=localhost:1", f"--saved_model={tmp_path}")
    assert status == 1
    assert "holds no SavedModel" in err
    status, _, err = run(
        capsys, "--rest=localhost:1", f"--saved_model={task_head_dir}", "--method=encode_files"
    )
    assert status == 1
    assert "has the signatures ['serving_default']; expected encode_bytes with the input" in err


def test_absent_server_ends_with_its_error(capsys, encoder_dir):
    with refusing_address() as address:
        arguments = (f"--rest={address}", f"--saved_model={encoder_dir}")
        status, _, err = run(capsys, *arguments, "--method=encode_files", "--calls=1")
    assert status == 1
    assert f"error: http://{address}/v1/models/encoder/metadata can't be reached" in err
