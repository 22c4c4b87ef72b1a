"""What is counted, and that servers don't share what they count."""

import grpc
import pytest

from serving.batching import NO_MERGING, Batcher
from serving.errors import not_found
from serving.model_store import ModelStore
from serving.predict import Predictor
from serving.prometheus import Metrics
from serving.validation import Limits


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
