"""A running server: hot reload without a failed request, batching, drain, and wrong settings."""

import concurrent.futures
import contextlib
import shutil
import socket
import threading

import grpc
import numpy as np
import pytest
import tensorflow as tf
from serving_models import (
    SIZE,
    add_version,
    b64,
    picture_file,
    pictures,
    predict,
    rest,
    serving,
    submissions,
)
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc
from waiting import LONG, SOON, until, wait_for

from serving.server import endpoints
from serving.server.batching import BatchingParameters
from serving.server.endpoints import LocalServer, Settings
from serving.server.validation import Limits

BODY = {"instances": pictures(2).tolist()}


def served_version(server, model="encoder"):
    status = rest(server, "GET", f"/v1/models/{model}")[1]["model_version_status"]
    return [entry["version"] for entry in status if entry["state"] == "AVAILABLE"]


@contextlib.contextmanager
def requests_running(server):
    """Clients of both protocols that ask without pause; yields their answers by protocol."""
    answers, stop = {"rest": [], "grpc": []}, threading.Event()
    message = predict_pb2.PredictRequest()
    message.model_spec.name = "encoder"
    message.inputs["image"].CopyFrom(tf.make_tensor_proto(pictures(2)))

    def ask_rest():
        while not stop.is_set():
            answers["rest"].append(predict(server, "encoder", BODY)[0])

    def ask_grpc():
        with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            while not stop.is_set():
                try:
                    response = stub.Predict(message, timeout=LONG)
                    answers["grpc"].append(response.model_spec.version.value)
                except grpc.RpcError as error:
                    answers["grpc"].append(error)

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(ask) for ask in (ask_rest, ask_grpc) * 2]
        try:
            yield answers
        finally:
            stop.set()
        for future in asking:
            future.result(LONG)


@pytest.mark.slow
def test_hot_reload_and_deletion_fail_no_request(tmp_path, exported_models, other_models):
    folder = tmp_path / "models"
    add_version(folder, exported_models, 1)
    with (
        serving(folder, file_system_poll_wait_seconds=0.05) as server,
        requests_running(server) as answers,
    ):
        add_version(folder, other_models, 2)
        until(lambda: served_version(server) == ["2"])
        until(lambda: answers["grpc"] and answers["grpc"][-1] == 2)
        # A roll-back: the newer version is deleted while it serves.
        shutil.rmtree(folder / "encoder" / "2")
        until(lambda: served_version(server) == ["1"])
        until(lambda: answers["grpc"][-1] == 1)
    assert set(answers["rest"]) == {200}
    assert set(answers["grpc"]) == {1, 2}


@pytest.mark.slow
def test_half_copied_version_does_not_disturb_and_is_served_once_complete(
    tmp_path, exported_models
):
    folder = tmp_path / "models"
    add_version(folder, exported_models, 1)
    half = folder / "encoder" / "2"
    with serving(folder, file_system_poll_wait_seconds=0.05) as server:
        half.mkdir()
        shutil.copy(folder / "encoder" / "1" / "saved_model.pb", half)

        def states():
            status = rest(server, "GET", "/v1/models/encoder")[1]["model_version_status"]
            return {entry["version"]: entry["state"] for entry in status}

        until(lambda: states() == {"1": "AVAILABLE", "2": "END"})
        (status,) = rest(server, "GET", "/v1/models/encoder/versions/2")[1]["model_version_status"]
        assert status["status"]["error_code"] == "UNKNOWN"
        assert "can't be loaded" in status["status"]["error_message"]
        assert predict(server, "encoder", BODY)[0] == 200
        shutil.copytree(folder / "encoder" / "1", half, dirs_exist_ok=True)
        until(lambda: states() == {"1": "END", "2": "AVAILABLE"})


def test_merged_requests_get_the_answers_they_would_get_alone(exported_models):
    encode = tf.saved_model.load(str(exported_models / "encoder" / "1")).signatures["encode"]
    parameters = BatchingParameters(max_batch_size=8, batch_timeout=SOON)
    with serving(exported_models, batching=parameters) as server:
        sizes, all_wait = [], threading.Event()
        submitted = submissions(server)

        def hold(items):
            sizes.append(items)
            wait_for(all_wait)

        server._batcher._on_batch = hold

        def ask(seed):
            images = pictures(1 + seed % 3, seed)
            answer = predict(server, "encoder", {"instances": images.tolist()})[1]
            np.testing.assert_allclose(
                answer["predictions"], encode(image=tf.constant(images))["code"], atol=1e-5
            )

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = pool.map(ask, range(24))
            # The batcher's two threads hold a batch each at most: the others' requests wait by now.
            for _ in range(8):
                assert submitted.acquire(timeout=LONG)
            all_wait.set()
            list(answers)
    assert sum(sizes) == sum(1 + seed % 3 for seed in range(24))
    assert max(sizes) > 3, "some were merged"


def test_small_files_of_many_pixels_are_not_merged(exported_models):
    file = picture_file(pictures()[0])
    # Two such pictures are one pixel too many; merged, they would fill a batch.
    limits = Limits(pixels=2 * SIZE * SIZE - 1)
    parameters = BatchingParameters(max_batch_size=2, batch_timeout=LONG, num_batch_threads=1)
    body = {"signature_name": "encode_bytes", "instances": [b64(file)]}
    with serving(exported_models, batching=parameters, limits=limits) as server:
        sizes = []
        server._batcher._on_batch = sizes.append
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            asked = [pool.submit(predict, server, "encoder", body) for _ in range(2)]
            concurrent.futures.wait(asked, LONG, concurrent.futures.FIRST_COMPLETED)
            # The other waits for a third, with which the batch would be full again.
            server._batcher.close()
            assert [each.result(LONG)[0] for each in asked] == [200, 200]
    assert sizes == [1, 1]


def test_stop_answers_what_is_under_way_and_takes_no_more(exported_models):
    with concurrent.futures.ThreadPoolExecutor(2) as pool, serving(exported_models) as server:
        entered, go_on = threading.Event(), threading.Event()

        def hold(items):
            entered.set()
            wait_for(go_on)

        server._batcher._on_batch = hold
        under_way = pool.submit(predict, server, "encoder", BODY)
        wait_for(entered)
        stopped = pool.submit(server.stop, LONG)
        until(lambda: refuses_connections(server.rest_api_port))
        assert not under_way.done()
        go_on.set()
        assert under_way.result(LONG)[0] == 200
        stopped.result(LONG)


def refuses_connections(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) != 0


def test_port_in_use_is_an_error_that_names_it(exported_models):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"REST can't listen at 127.0.0.1:{port}"):
            LocalServer(Settings(exported_models, rest_api_port=port, port=0))
        with pytest.raises(OSError, match=f"gRPC can't listen at 127.0.0.1:{port}"):
            LocalServer(Settings(exported_models, rest_api_port=0, port=port))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model_base_path": None}, "Give --model_base_path or --model_config_file"),
        ({"rest_api_timeout": 0}, "rest_api_timeout must be > 0"),
        ({"grpc_max_threads": -1}, "grpc_max_threads must be > 0"),
    ],
)
def test_wrong_settings_are_refused_with_the_reason(tmp_path, changes, words):
    with pytest.raises(ValueError, match=words):
        Settings(**({"model_base_path": tmp_path} | changes))


def test_named_model_is_served_from_its_version_folders(exported_models):
    with serving(exported_models / "encoder", model_name="face") as server:
        assert predict(server, "face", BODY)[0] == 200
        assert predict(server, "encoder", BODY)[0] == 404


def test_server_that_serves_nothing_logs_what_it_found(tmp_path, exported_models, monkeypatch):
    lines = []
    monkeypatch.setattr(
        endpoints.logging, "warning", lambda words, *values: lines.append(words % values)
    )
    shutil.copytree(exported_models / "encoder" / "1", tmp_path / "encoder")
    with serving(tmp_path):
        pass
    (line,) = lines
    assert line.startswith("No model is being served yet: --model_base_path=")
    assert f"{tmp_path} holds no model that can be served. Found there: encoder/." in line
    assert f"move what is in it to {tmp_path / 'encoder' / '1'}" in line


def test_server_of_damaged_models_says_that_the_lines_above_say_why(tmp_path, monkeypatch):
    lines = []
    monkeypatch.setattr(
        endpoints.logging, "warning", lambda words, *values: lines.append(words % values)
    )
    (tmp_path / "encoder" / "1").mkdir(parents=True)
    (tmp_path / "encoder" / "1" / "saved_model.pb").write_bytes(b"")
    with serving(tmp_path):
        pass
    assert lines[-1] == "No model is being served yet: the lines above say why."


def test_server_without_models_starts_and_serves_the_first_that_comes(tmp_path, exported_models):
    folder = tmp_path / "models"
    folder.mkdir()
    with serving(folder, file_system_poll_wait_seconds=0.05) as server:
        assert predict(server, "encoder", BODY)[0] == 404
        add_version(folder, exported_models, 1)
        until(lambda: predict(server, "encoder", BODY)[0] == 200)
