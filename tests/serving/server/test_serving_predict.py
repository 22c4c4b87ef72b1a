"""Who waits for an answer, what is counted, and that servers don't share what they count."""

import concurrent.futures
import threading
import time

import grpc
import pytest
from waiting import LONG

from serving.server.batching import NO_MERGING, Batcher
from serving.server.errors import ServingError, not_found
from serving.server.model_store import ModelStore
from serving.server.predict import Caller, ModelSpec, Predictor
from serving.server.prometheus import Metrics
from serving.server.validation import Limits


@pytest.fixture
def predictor():
    store = ModelStore(dict, lambda *_: None)
    batcher = Batcher(NO_MERGING)
    yield Predictor(store, batcher, Limits(), Metrics())
    batcher.close()


def count(predictor, code):
    labels = f'code="{code}",method="Predict",model="",protocol="grpc"'
    lines = predictor.metrics.text().decode().splitlines()
    return [line for line in lines if line.startswith(f"serving_requests_total{{{labels}}}")]


@pytest.mark.parametrize(
    ("error", "code"),
    [(not_found("x"), grpc.StatusCode.NOT_FOUND), (KeyError(), grpc.StatusCode.INTERNAL)],
)
def test_failed_request_is_counted_under_its_code_and_raised(predictor, error, code):
    with pytest.raises(type(error)), predictor.counted("grpc", "Predict", "nobody"):
        raise error
    assert [line.split()[-1] for line in count(predictor, code.name)] == ["1.0"]


def test_answered_request_is_counted_as_ok(predictor):
    for _ in range(2):
        with predictor.counted("grpc", "Predict", "nobody"):
            pass
    assert [line.split()[-1] for line in count(predictor, "OK")] == ["2.0"]


def test_metrics_of_two_servers_are_apart():
    one, other = Metrics(), Metrics()
    one.batch(7)
    assert b"serving_batch_items_sum 7.0" in one.text()
    assert b"serving_batch_items_sum 0.0" in other.text()


def code_of(action):
    with pytest.raises(ServingError) as caught:
        action()
    return caught.value.code


def test_work_of_a_caller_who_has_gone_is_cancelled():
    before, after = concurrent.futures.Future(), concurrent.futures.Future()
    caller = Caller(time.monotonic() + LONG)
    threading.Timer(0.05, caller.leave).start()
    # Gone while it waits, and gone before.
    assert code_of(lambda: caller.wait_for(before)) == grpc.StatusCode.CANCELLED
    assert code_of(lambda: caller.wait_for(after)) == grpc.StatusCode.CANCELLED
    assert before.cancelled() and after.cancelled()


def test_work_that_runs_is_not_broken_off_by_leaving():
    work = concurrent.futures.Future()
    assert work.set_running_or_notify_cancel()
    caller = Caller(time.monotonic() + LONG)
    caller.leave()
    threading.Timer(0.05, work.set_result, args=[{"code": 1}]).start()
    assert caller.wait_for(work) == {"code": 1}


def test_work_not_done_by_the_deadline_is_cancelled():
    work = concurrent.futures.Future()
    caller = Caller(time.monotonic() - 1)
    assert code_of(lambda: caller.wait_for(work)) == grpc.StatusCode.DEADLINE_EXCEEDED
    assert work.cancelled()


@pytest.mark.parametrize(
    ("seconds", "gone", "code"),
    [(-1, False, grpc.StatusCode.DEADLINE_EXCEEDED), (LONG, True, grpc.StatusCode.CANCELLED)],
)
def test_request_in_vain_is_refused_before_its_inputs_are_read(predictor, seconds, gone, code):
    caller = Caller(time.monotonic() + seconds)
    if gone:
        caller.leave()
    spec = ModelSpec("nobody")
    assert code_of(lambda: predictor.predict(spec, pytest.fail, caller=caller)) == code
