"""A tiny exported encoder and task head, and how tests talk to a server about them."""

import base64
import contextlib
import http.client
import io
import json
import shutil
import threading

import keras
import numpy as np
from keras import layers
from PIL import Image
from waiting import LONG

from arl_tf.exporting.saved_models import save_encoder, save_task_head
from serving.server.endpoints import LocalServer, Settings
from serving.web import browser_files, demo

SIZE = 16
CODE_SHAPE = (4, 4, 3)
NAMES = ("Smiling", "Eyeglasses")
MODELS = ("encoder", "task_head")


def save_models(folder, version=1, seed=0):
    """Saves encoder and task head as `folder`/<model>/<version>; the seed sets their weights."""
    keras.utils.set_random_seed(seed)
    image = keras.Input((SIZE, SIZE, 3))
    encoder = keras.Model(image, layers.Conv2D(3, 4, 4)(image), name="encoder")
    code = keras.Input(CODE_SHAPE)
    logits = layers.Dense(len(NAMES))(layers.Flatten()(code))
    task_head = keras.Model(code, logits, name="task_head")
    save_encoder(encoder, SIZE, folder / "encoder" / str(version))
    save_task_head(task_head, CODE_SHAPE, NAMES, folder / "task_head" / str(version))
    return folder


def add_version(folder, exported, version, source=1):
    """Copies version `source` of both exported models to `folder` as another version, at once."""
    for model in MODELS:
        aside = folder / model / f".{version}"
        shutil.copytree(exported / model / str(source), aside)
        aside.rename(folder / model / str(version))


def pictures(count=1, seed=0):
    """uint8 [count, SIZE, SIZE, 3]."""
    return np.random.default_rng(seed).integers(0, 256, (count, SIZE, SIZE, 3), np.uint8)


def picture_file(image, kind="PNG"):
    """A picture as the bytes of a file."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind)
    return file.getvalue()


def b64(content):
    return {"b64": base64.b64encode(content).decode()}


@contextlib.contextmanager
def serving(folder, *, demo_attacker=None, packages=browser_files.PACKAGES, **settings):
    """A running server with the demo page on free ports, patient unless settings replace that."""
    defaults = {"model_base_path": folder, "port": 0, "rest_api_port": 0}
    defaults |= {"rest_api_timeout": LONG, "grpc_timeout": LONG}
    pages = demo.pages(demo_attacker, packages=packages)
    server = LocalServer(Settings(**(defaults | settings)), pages)
    server.start()
    try:
        yield server
    finally:
        # What a test has left behind is not waited for.
        server.stop(grace=5)


def rest(server, method, path, body=None, port=None):
    """(HTTP status, parsed answer) of a REST request; a body that is not bytes is sent as JSON."""
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
    connection = http.client.HTTPConnection("127.0.0.1", port or server.rest_api_port, timeout=LONG)
    with contextlib.closing(connection):
        connection.request(method, path, body)
        response = connection.getresponse()
        content = response.read()
        return response.status, json.loads(content)


def predict(server, model, body, version="", port=None):
    return rest(server, "POST", f"/v1/models/{model}{version}:predict", body, port)


def hold_up(running):
    """Makes every batch wait until the function returned here is called."""
    event = threading.Event()
    running._batcher._on_batch = lambda items: event.wait(LONG)
    return event.set


def submissions(running):
    """A semaphore released each time the server queues a request."""
    told, submit = threading.Semaphore(0), running._batcher.submit

    def submit_and_tell(*arguments, **named):
        future = submit(*arguments, **named)
        told.release()
        return future

    running._batcher.submit = submit_and_tell
    return told
