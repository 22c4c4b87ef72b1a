"""What is merged, what never is, who waits how long, and whose failure is whose."""

import math
import threading

import grpc
import numpy as np
import pytest
import tensorflow as tf
from waiting import LONG, wait_for

from serving.server import batching
from serving.server.batching import Batcher, BatchingParameters
from serving.server.errors import ServingError, invalid
from serving.server.signature import Signature

# In time.monotonic's seconds, as deadlines are: never, and over before anything begins.
NEVER, OVER = math.inf, -math.inf
# Long enough to fill a batch in any test, and never waited for.
PATIENT = {"batch_timeout": LONG, "num_batch_threads": 1}


def signature(run=None, *, batchable=True):
    """x float32 [?, 2] -> y; `run` gets an array and returns one."""
    spec = tf.TensorSpec((None, 2) if batchable else (3, 2), tf.float32)
    run = run or (lambda x: 2 * x)
    return Signature("f", {"x": spec}, {"y": spec}, lambda x: {"y": tf.constant(run(x.numpy()))})


def rows(*values):
    return {"x": np.array([[value, -value] for value in values], np.float32)}


def submit(batcher, function, inputs, deadline=NEVER):
    return batcher.submit(function, inputs, items=len(inputs["x"]), deadline=deadline)


@pytest.fixture
def sizes():
    return []


def test_waiting_requests_run_as_one_batch_and_each_gets_its_own_rows(sizes):
    batcher = Batcher(BatchingParameters(max_batch_size=6, **PATIENT), sizes.append)
    function = signature()
    futures = [submit(batcher, function, rows(*values)) for values in ((1,), (2, 3), (4, 5, 6))]
    answers = [future.result(LONG)["y"][:, 0].tolist() for future in futures]
    batcher.close()
    assert answers == [[2], [4, 6], [8, 10, 12]]
    assert sizes == [6]


def test_batch_is_run_when_its_first_request_has_waited_long_enough(sizes):
    batcher = Batcher(BatchingParameters(max_batch_size=1000, batch_timeout=0.01), sizes.append)
    assert submit(batcher, signature(), rows(1)).result(LONG)["y"].tolist() == [[2, -2]]
    batcher.close()
    assert sizes == [1]


def test_requests_of_different_signatures_never_mix(sizes):
    batcher = Batcher(BatchingParameters(max_batch_size=2, **PATIENT), sizes.append)
    double, triple = signature(), signature(lambda x: 3 * x)
    futures = [submit(batcher, f, rows(1)) for f in (double, triple, double, triple)]
    assert [future.result(LONG)["y"][0, 0] for future in futures] == [2, 3, 2, 3]
    batcher.close()
    assert sizes == [2, 2]


def test_requests_whose_items_differ_in_shape_never_mix():
    spec = tf.TensorSpec((None, None), tf.float32)
    function = Signature("f", {"x": spec}, {"y": spec}, lambda x: {"y": x})
    batcher = Batcher(BatchingParameters(max_batch_size=1, **PATIENT))
    for width in (2, 3):
        inputs = {"x": np.ones((1, width), np.float32)}
        assert submit(batcher, function, inputs).result(LONG)["y"].shape == (1, width)
    batcher.close()


def test_signature_without_batch_axis_runs_every_request_alone(sizes):
    parameters = BatchingParameters(max_batch_size=8, batch_timeout=0.01, num_batch_threads=1)
    batcher = Batcher(parameters, sizes.append)
    function = signature(batchable=False)
    futures = [batcher.submit(function, rows(n, n, n), items=1, deadline=NEVER) for n in range(3)]
    assert [future.result(LONG)["y"][0, 0] for future in futures] == [0, 2, 4]
    batcher.close()
    assert sizes == [1, 1, 1]


def test_request_larger_than_a_batch_runs_alone(sizes):
    batcher = Batcher(BatchingParameters(max_batch_size=2, **PATIENT), sizes.append)
    assert submit(batcher, signature(), rows(*range(5))).result(LONG)["y"].shape == (5, 2)
    batcher.close()
    assert sizes == [5]


def test_merged_requests_have_no_more_pixels_than_one_request_may_have(sizes):
    parameters = BatchingParameters(max_batch_size=32, **PATIENT)
    batcher = Batcher(parameters, sizes.append, max_pixels=100)
    # Full by its pixels alone, a batch waits for nobody; the last one waits until the end.
    pixels = (60, 40, 100, 90, 20)
    function = signature()
    futures = [
        batcher.submit(function, rows(n), items=1, pixels=count, deadline=NEVER)
        for n, count in enumerate(pixels)
    ]
    assert [future.result(LONG)["y"][0, 0] for future in futures[:4]] == [0, 2, 4, 6]
    batcher.close()
    assert futures[4].result(0)["y"][0, 0] == 8
    assert sizes == [2, 1, 1, 1]


def test_bad_request_in_a_batch_spoils_only_itself():
    def run(x):
        if (x == 13).any():
            raise tf.errors.InvalidArgumentError(None, None, "13 is not taken")
        return x

    batcher = Batcher(BatchingParameters(max_batch_size=3, **PATIENT))
    function = signature(run)
    good, bad, other = (submit(batcher, function, rows(value)) for value in (1, 13, 3))
    assert good.result(LONG)["y"][0, 0] == 1
    assert other.result(LONG)["y"][0, 0] == 3
    with pytest.raises(ServingError, match="13 is not taken") as caught:
        bad.result(LONG)
    assert caught.value.code == grpc.StatusCode.INVALID_ARGUMENT
    batcher.close()


def test_unexpected_failure_is_an_answer_and_the_thread_lives_on():
    def run(x):
        if (x == 13).any():
            raise ZeroDivisionError("oops")
        return x

    batcher = Batcher(BatchingParameters(max_batch_size=2, **PATIENT))
    function = signature(run)
    futures = [submit(batcher, function, rows(value)) for value in (13, 13)]
    for future in futures:
        with pytest.raises(ServingError, match="oops") as caught:
            future.result(LONG)
        assert caught.value.code == grpc.StatusCode.INTERNAL
    futures = [submit(batcher, function, rows(value)) for value in (1, 2)]
    assert [future.result(LONG)["y"][0, 0] for future in futures] == [1, 2]
    batcher.close()


def blocked_batcher(**parameters):
    """A batcher whose only thread is busy until the event is set, and what it has run."""
    go_on, started, ran = threading.Event(), threading.Event(), []

    def run(x):
        started.set()
        wait_for(go_on)
        ran.append(x[:, 0].tolist())
        return x

    batcher = Batcher(
        BatchingParameters(
            **({"max_batch_size": 1, "batch_timeout": 0, "num_batch_threads": 1} | parameters)
        )
    )
    function = signature(run)
    submit(batcher, function, rows(0))
    wait_for(started)
    return batcher, function, go_on, ran


def test_late_and_cancelled_requests_never_run():
    batcher, function, go_on, ran = blocked_batcher()
    late = submit(batcher, function, rows(1), deadline=OVER)
    cancelled = submit(batcher, function, rows(2))
    assert cancelled.cancel()
    last = submit(batcher, function, rows(3))
    go_on.set()
    assert last.result(LONG)
    with pytest.raises(ServingError) as caught:
        late.result(LONG)
    assert caught.value.code == grpc.StatusCode.DEADLINE_EXCEEDED
    batcher.close()
    assert ran == [[0], [3]]


def test_full_queue_refuses_with_unavailable():
    batcher, function, go_on, _ = blocked_batcher(max_enqueued_batches=2)
    waiting = [submit(batcher, function, rows(value)) for value in (1, 2)]
    with pytest.raises(ServingError, match="2 items are waiting") as caught:
        submit(batcher, function, rows(3))
    assert caught.value.code == grpc.StatusCode.UNAVAILABLE
    go_on.set()
    assert [future.result(LONG)["y"][0, 0] for future in waiting] == [1, 2]
    batcher.close()


def test_cancelled_requests_make_room_for_others():
    batcher, function, go_on, ran = blocked_batcher(max_enqueued_batches=2)
    for value in (1, 2):
        assert submit(batcher, function, rows(value)).cancel()
    last = [submit(batcher, function, rows(value)) for value in (3, 4)]
    go_on.set()
    assert [future.result(LONG)["y"][0, 0] for future in last] == [3, 4]
    batcher.close()
    assert ran == [[0], [3], [4]]


def test_request_larger_than_a_batch_waits_as_one_batch():
    batcher, function, go_on, _ = blocked_batcher(max_enqueued_batches=2)
    large = submit(batcher, function, rows(*range(50)))
    small = submit(batcher, function, rows(7))
    with pytest.raises(ServingError, match="are waiting"):
        submit(batcher, function, rows(8))
    go_on.set()
    assert len(large.result(LONG)["y"]) == 50 and small.result(LONG)["y"][0, 0] == 7
    batcher.close()


def test_close_answers_what_waits_and_refuses_the_rest():
    batcher = Batcher(BatchingParameters(max_batch_size=100, **PATIENT))
    function = signature()
    future = submit(batcher, function, rows(1))
    batcher.close()
    assert future.result(0)["y"][0, 0] == 2
    with pytest.raises(ServingError, match="going down"):
        submit(batcher, function, rows(1))


def test_parameters_come_from_tf_servings_file(tmp_path):
    path = tmp_path / "batching.config"
    path.write_text(
        "max_batch_size { value: 8 } batch_timeout_micros { value: 2500 }"
        ' num_batch_threads { value: 3 } thread_pool_name { value: "x" }'
    )
    assert batching.read_parameters(path) == BatchingParameters(8, 0.0025, 100, 3)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("max_batch_size: 8", "no BatchingParameters"),
        ("max_batch_size { value: 0 }", "max_batch_size must be >= 1, got 0"),
        ("batch_timeout_micros { value: -1 }", "batch_timeout must be >= 0"),
        ("allowed_batch_sizes: 8", "allowed_batch_sizes is not done"),
    ],
)
def test_wrong_parameters_are_refused_with_the_reason(tmp_path, text, words):
    path = tmp_path / "batching.config"
    path.write_text(text)
    with pytest.raises(ValueError, match=words):
        batching.read_parameters(path)


def test_errors_of_a_signature_keep_their_code():
    def run(x):
        raise invalid("no")

    batcher = Batcher(batching.NO_MERGING)
    with pytest.raises(ServingError) as caught:
        submit(batcher, signature(run), rows(1)).result(LONG)
    assert caught.value.code == grpc.StatusCode.INVALID_ARGUMENT
    batcher.close()
