"""gRPC with the official stubs: what TF Serving's clients get, and what wrong requests get."""

import contextlib

import grpc
import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from grpc_health.v1 import health_pb2, health_pb2_grpc
from serving_models import (
    CODE_SHAPE,
    SIZE,
    add_version,
    hold_up,
    picture_file,
    pictures,
    serving,
    submissions,
)
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)
from waiting import LONG, SOON, until

from serving.clients.grpc_client import GrpcEncoderClient
from serving.server.validation import Limits

Code = grpc.StatusCode
LIMITS = Limits(items=64, pixels=4_000_000, request_bytes=2_000_000)


@contextlib.contextmanager
def stubs(server):
    """Stubs of TF Serving's prediction and model service, and of gRPC's health service."""
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield (
            prediction_service_pb2_grpc.PredictionServiceStub(channel),
            model_service_pb2_grpc.ModelServiceStub(channel),
            health_pb2_grpc.HealthStub(channel),
        )


@pytest.fixture(scope="module")
def server(exported_models):
    with serving(exported_models, limits=LIMITS) as running:
        yield running


@pytest.fixture(scope="module")
def prediction(server):
    with stubs(server) as (stub, _, _):
        yield stub
        assert stub.Predict(request(image=pictures())).outputs["code"].tensor_shape.dim[0].size == 1


@pytest.fixture(scope="module")
def models(server):
    with stubs(server) as (_, stub, _):
        yield stub


def request(model="encoder", **inputs):
    """A PredictRequest of arrays or TensorProtos."""
    message = predict_pb2.PredictRequest()
    message.model_spec.name = model
    for name, value in inputs.items():
        proto = value if isinstance(value, tensor_pb2.TensorProto) else tf.make_tensor_proto(value)
        message.inputs[name].CopyFrom(proto)
    return message


def refused(call, message, code, *words):
    """Asserts that a call ends with this code and these words."""
    with pytest.raises(grpc.RpcError) as caught:
        call(message, timeout=LONG)
    assert caught.value.code() == code, caught.value.details()
    assert all(word in caught.value.details() for word in words), caught.value.details()
    return True


def test_predict_returns_the_models_codes_and_says_who_answered(prediction, exported_models):
    response = prediction.Predict(request(image=pictures(3)))
    signatures = tf.saved_model.load(str(exported_models / "encoder" / "1")).signatures
    expected = signatures["encode"](image=tf.constant(pictures(3)))["code"]
    np.testing.assert_allclose(tf.make_ndarray(response.outputs["code"]), expected, atol=1e-5)
    assert response.model_spec.name == "encoder"
    assert response.model_spec.version.value == 1
    assert response.model_spec.signature_name == "serving_default"


def test_answers_hold_tensor_content_where_the_flag_asks_for_it(exported_models):
    with serving(exported_models, enable_serialization_as_tensor_content=True) as running:
        with stubs(running) as (stub, _, _):
            answer = stub.Predict(request(image=pictures(2)), timeout=LONG).outputs["code"]
        with GrpcEncoderClient(f"127.0.0.1:{running.port}") as client:
            codes = client.encode(pictures(2))
    assert answer.tensor_content and not answer.float_val
    np.testing.assert_array_equal(tf.make_ndarray(answer), codes)


def test_own_client_reads_the_default_form(server, prediction):
    answer = prediction.Predict(request(image=pictures(2))).outputs["code"]
    assert answer.float_val and not answer.tensor_content
    with GrpcEncoderClient(f"127.0.0.1:{server.port}") as client:
        np.testing.assert_array_equal(client.encode(pictures(2)), tf.make_ndarray(answer))


def test_signature_by_name_takes_picture_files(prediction):
    message = request(image_bytes=[picture_file(image) for image in pictures(2)])
    message.model_spec.signature_name = "encode_bytes"
    by_file = tf.make_ndarray(prediction.Predict(message).outputs["code"])
    by_array = tf.make_ndarray(prediction.Predict(request(image=pictures(2))).outputs["code"])
    np.testing.assert_allclose(by_file, by_array, atol=1e-5)


def test_output_filter_returns_only_what_it_names(prediction):
    message = request("task_head", code=np.ones((2, *CODE_SHAPE), np.float32))
    assert set(prediction.Predict(message).outputs) == {"logits", "probability", "decision"}
    message.output_filter.append("probability")
    assert set(prediction.Predict(message).outputs) == {"probability"}
    message.output_filter.append("probability")
    assert refused(prediction.Predict, message, Code.INVALID_ARGUMENT, "twice")
    message.output_filter[:] = ["gender"]
    words = ["output tensor alias not found in signature: gender", "'logits'"]
    assert refused(prediction.Predict, message, Code.INVALID_ARGUMENT, *words)


@pytest.mark.parametrize(
    ("spec", "code", "words"),
    [
        ("", Code.INVALID_ARGUMENT, "Missing ModelSpec"),
        ('name: "nobody"', Code.NOT_FOUND, "Latest(nobody)"),
        ('name: "encoder" version { value: 9 }', Code.NOT_FOUND, "Specific(encoder, 9)"),
        ('name: "encoder" version_label: "x"', Code.INVALID_ARGUMENT, "version label: x"),
        ('name: "encoder" signature_name: "x"', Code.FAILED_PRECONDITION, '"x" not found'),
    ],
)
def test_unknown_model_version_label_and_signature_have_their_codes(prediction, spec, code, words):
    message = request(image=pictures())
    message.model_spec.Clear()
    text_format.Parse(spec, message.model_spec)
    assert refused(prediction.Predict, message, code, words)


def claim(dtype, sizes, **values):
    """A TensorProto that says what it likes of dtype and shape."""
    proto = tensor_pb2.TensorProto(dtype=dtype, **values)
    for size in sizes:
        proto.tensor_shape.dim.add(size=size)
    return proto


IMAGE = (SIZE, SIZE, 3)
UNKNOWN_RANK = claim(types_pb2.DT_UINT8, [])
UNKNOWN_RANK.tensor_shape.unknown_rank = True


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.zeros(IMAGE, np.uint8), ["shape [16, 16, 3]", "expected [?, 16, 16, 3]"]),
        (np.zeros((1, 1, *IMAGE), np.uint8), ["shape [1, 1, 16, 16, 3]"]),
        (np.uint8(7), ["shape []"]),
        (np.zeros((1, SIZE, SIZE + 1, 3), np.uint8), ["shape [1, 16, 17, 3]"]),
        (np.zeros((0, *IMAGE), np.uint8), ["is empty"]),
        (np.zeros((65, *IMAGE), np.uint8), ["65 items", "limit is 64"]),
        (np.zeros((1, *IMAGE), np.float32), ["DT_FLOAT", "expected DT_UINT8"]),
        (np.zeros((1, *IMAGE), np.int8), ["DT_INT8"]),
        (np.full((1, *IMAGE), b"x"), ["DT_STRING"]),
        (claim(0, (1, *IMAGE)), ["DT_INVALID"]),
        (claim(9999, (1, *IMAGE)), ["data type 9999"]),
        (claim(types_pb2.DT_UINT8, (1, *IMAGE), tensor_content=b"abc"), ["does not hold"]),
        (claim(types_pb2.DT_UINT8, (2, *IMAGE), int_val=[300] * 5), ["does not hold"]),
        (claim(types_pb2.DT_UINT8, (10**12, *IMAGE), int_val=[1]), ["the limit is 2000000"]),
        (claim(types_pb2.DT_UINT8, (-1, *IMAGE), int_val=[1]), ["shape [-1, 16, 16, 3]"]),
        (UNKNOWN_RANK, ["no shape"]),
    ],
)
def test_wrong_rank_size_dtype_and_lying_tensors_are_refused(prediction, image, words):
    assert refused(prediction.Predict, request(image=image), Code.INVALID_ARGUMENT, *words)


@pytest.mark.parametrize("inputs", [{}, {"picture": 1}, {"image": pictures(), "more": 1}])
def test_missing_and_unknown_inputs_are_refused(prediction, inputs):
    words = "takes the inputs 'image'"
    assert refused(prediction.Predict, request(**inputs), Code.INVALID_ARGUMENT, words)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_codes_that_are_not_finite_are_refused(prediction, value):
    code = np.zeros((2, *CODE_SHAPE), np.float32)
    code[1, 2, 3, 1] = value
    message = request("task_head", code=code)
    assert refused(prediction.Predict, message, Code.INVALID_ARGUMENT, "NaN or infinity")


@pytest.mark.parametrize("file", [b"", b"GIF89a", picture_file(pictures()[0], "JPEG")[:-50]])
def test_bad_picture_files_are_refused(prediction, file):
    message = request(image_bytes=np.array([file], object))
    message.model_spec.signature_name = "encode_bytes"
    assert refused(prediction.Predict, message, Code.INVALID_ARGUMENT)


def test_request_larger_than_the_limit_is_refused_before_it_is_read(prediction):
    message = request(image=np.zeros((4000, *IMAGE), np.uint8))
    assert refused(prediction.Predict, message, Code.RESOURCE_EXHAUSTED, "larger than max")


def test_ten_thousand_items_are_refused(exported_models):
    with serving(exported_models) as running, stubs(running) as (stub, _, _):
        message = request(image=np.zeros((10_000, *IMAGE), np.uint8))
        assert refused(stub.Predict, message, Code.INVALID_ARGUMENT, "10000 items")


def under_way_in(predictor):
    """The predictor's requests that are not answered yet, kept up to date."""
    under_way, predict = [], predictor.predict

    def predict_and_tell(*arguments, **named):
        under_way.append(arguments)
        try:
            return predict(*arguments, **named)
        finally:
            under_way.pop()

    predictor.predict = predict_and_tell
    return under_way


def test_deadline_is_honoured_and_expired_requests_never_run(exported_models):
    ran = []
    with serving(exported_models) as running, stubs(running) as (stub, _, _):
        release = hold_up(running)
        under_way = under_way_in(running.predictor)
        # One for each thread of the batcher, and one that waits behind them.
        late = [stub.Predict.future(request(image=pictures(n)), timeout=SOON) for n in (1, 1, 7)]
        assert [call.exception(LONG).code() for call in late] == [Code.DEADLINE_EXCEEDED] * 3
        until(lambda: not under_way)
        running._batcher._on_batch = ran.append
        release()
        assert stub.Predict(request(image=pictures(2)), timeout=LONG).outputs
    assert ran == [2]


def test_servers_own_limit_ends_a_request_without_deadline(exported_models):
    with serving(exported_models, grpc_timeout=SOON) as running, stubs(running) as (stub, _, _):
        release = hold_up(running)
        assert refused(stub.Predict, request(image=pictures()), Code.DEADLINE_EXCEEDED)
        release()


def test_client_that_cancels_leaves_the_server_well_and_what_waited_never_runs(exported_models):
    ran = []
    with serving(exported_models) as running, stubs(running) as (stub, _, _):
        release = hold_up(running)
        submitted = submissions(running)
        # One for each thread of the batcher, and one that waits behind them.
        calls = []
        for count in (1, 1, 7):
            calls.append(stub.Predict.future(request(image=pictures(count)), timeout=LONG))
            assert submitted.acquire(timeout=LONG)
        calls[-1].cancel()
        until(lambda: 'code="CANCELLED"' in running.predictor.metrics.text().decode())
        running._batcher._on_batch = ran.append
        release()
        assert all(call.result(LONG).outputs for call in calls[:2])
        assert stub.Predict(request(image=pictures(2)), timeout=LONG).outputs
    assert ran == [2]


KINDS = {
    "Classify": (classification_pb2.ClassificationRequest, "classification", "classify"),
    "Regress": (regression_pb2.RegressionRequest, "regression", "regress"),
}


@pytest.mark.parametrize("method", KINDS)
def test_calls_on_examples_are_refused_as_tf_serving_refuses_them(prediction, method):
    kind, word, verb = KINDS[method]
    call, message = getattr(prediction, method), kind()
    assert refused(call, message, Code.INVALID_ARGUMENT, "Missing ModelSpec")
    message.model_spec.name = "nobody"
    assert refused(call, message, Code.NOT_FOUND, "Latest(nobody)")
    message.model_spec.name = "encoder"
    words = (
        f"Expected {word} signature method_name to be tensorflow/serving/{verb}. Was:"
        " tensorflow/serving/predict"
    )
    assert refused(call, message, Code.INVALID_ARGUMENT, words)
    message.model_spec.signature_name = "x"
    words = "No signature was found with the name: x"
    assert refused(call, message, Code.INVALID_ARGUMENT, words)


def test_multi_inference_is_refused_by_its_first_task(prediction):
    message = inference_pb2.MultiInferenceRequest()
    call = prediction.MultiInference
    assert refused(call, message, Code.INVALID_ARGUMENT, "ModelSpec has no name")
    task = message.tasks.add()
    task.model_spec.name = "encoder"
    task.method_name = "tensorflow/serving/predict"
    assert refused(call, message, Code.UNIMPLEMENTED, "Unsupported signature method_name")
    task.method_name = "tensorflow/serving/classify"
    assert refused(call, message, Code.INVALID_ARGUMENT, "Expected classification signature")


def test_metadata_holds_the_signatures(prediction):
    message = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    message.model_spec.name = "task_head"
    response = prediction.GetModelMetadata(message)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signatures)
    serving_default = signatures.signature_def["serving_default"]
    assert list(serving_default.inputs) == ["code"]
    assert set(serving_default.outputs) == {"logits", "probability", "decision"}
    assert response.model_spec.version.value == 1
    message.metadata_field[:] = ["weights"]
    assert refused(prediction.GetModelMetadata, message, Code.INVALID_ARGUMENT, "weights")


def status_request(name, version=None):
    message = get_model_status_pb2.GetModelStatusRequest()
    message.model_spec.name = name
    if version:
        message.model_spec.version.value = version
    return message


def test_status_tells_versions_and_their_state(models):
    (status,) = models.GetModelStatus(status_request("encoder")).model_version_status
    assert status.version == 1
    assert status.state == get_model_status_pb2.ModelVersionStatus.AVAILABLE
    assert status.status.error_code == 0
    for message in (status_request("nobody"), status_request("encoder", 9)):
        assert refused(models.GetModelStatus, message, Code.NOT_FOUND, "Could not find")


def test_health_is_serving_until_the_server_drains(exported_models):
    watched = []
    with serving(exported_models) as running, stubs(running) as (_, _, health):
        for service in ("", "tensorflow.serving.PredictionService"):
            check = health_pb2.HealthCheckRequest(service=service)
            assert health.Check(check).status == health_pb2.HealthCheckResponse.SERVING
        stream = health.Watch(health_pb2.HealthCheckRequest())
        watched.append(next(stream).status)
        running._grpc._health.enter_graceful_shutdown()
        watched.append(next(stream).status)
        stream.cancel()
    response = health_pb2.HealthCheckResponse
    assert watched == [response.SERVING, response.NOT_SERVING]


def reload_request(folder, versions, labels):
    """A config of `encoder` with these versions and labels."""
    listed = " ".join(f"versions: {version}" for version in versions)
    labelled = " ".join(
        f'version_labels {{ key: "{label}" value: {version} }}' for label, version in labels.items()
    )
    text = f"""model_config_list {{ config {{
        name: "encoder" base_path: "{folder / "encoder"}" model_platform: "tensorflow"
        model_version_policy {{ specific {{ {listed} }} }} {labelled} }} }}"""
    message = model_management_pb2.ReloadConfigRequest()
    text_format.Parse(text, message.config)
    return message


def test_reloaded_config_serves_canary_beside_stable_and_rolls_back(
    tmp_path, exported_models, other_models
):
    folder = tmp_path / "models"
    for version, source in ((1, exported_models), (2, other_models)):
        add_version(folder, source, version)
    with serving(folder) as running, stubs(running) as (prediction, models, _):

        def code(label):
            message = request(image=pictures())
            message.model_spec.version_label = label
            response = prediction.Predict(message)
            return response.model_spec.version.value, list(response.outputs["code"].float_val)

        # Labels are for versions that are served: first the version, then its label.
        unavailable = "assign label to version 1 of model encoder, which is not currently available"
        both = reload_request(folder, (1, 2), {"stable": 1, "canary": 2})
        reload = models.HandleReloadConfigRequest
        assert refused(reload, both, Code.FAILED_PRECONDITION, unavailable)
        reload(reload_request(folder, (1, 2), {}), timeout=LONG)
        reload(both, timeout=LONG)
        assert [code(label)[0] for label in ("stable", "canary")] == [1, 2]
        assert code("stable")[1] != code("canary")[1]
        reload(reload_request(folder, (1,), {"stable": 1, "canary": 1}), timeout=LONG)
        assert [code(label)[0] for label in ("stable", "canary")] == [1, 1]
        # Models that the config does not name are gone.
        assert refused(
            prediction.Predict, request("task_head"), Code.NOT_FOUND, "Latest(task_head)"
        )
        for versions, labels in (((1, 7), {"x": 7}), ((1,), {"stable": 2})):
            message = reload_request(folder, versions, labels)
            assert refused(reload, message, Code.FAILED_PRECONDITION)
        # A version that is not on disk is no reason to refuse (server_core.cc, ReloadConfig).
        reload(reload_request(folder, (1, 7), {"stable": 1}), timeout=LONG)
        empty = model_management_pb2.ReloadConfigRequest()
        words = "model_config_list"
        assert refused(reload, empty, Code.INVALID_ARGUMENT, words)
        assert code("stable")[0] == 1
