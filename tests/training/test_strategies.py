"""Several devices take the step of one: the same weights, nothing scaled, one that writes."""

import json
import socket
import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from commands import run_afresh, run_together
from keras import layers

from arl_tf.config.settings import Config
from arl_tf.models import code_layers
from arl_tf.training import checkpoints, replicas, strategies, train

TASK_0 = {"type": "worker", "index": 0}
# Of a weight after the smoke run: rounding differs in sums, and Adam magnifies small gradients.
TOLERANCE = 1e-4
WORKERS = {"worker": ["a:1", "b:2"]}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no json",
        "[]",
        json.dumps({"cluster": WORKERS}),
        json.dumps({"cluster": WORKERS, "task": {"type": "worker", "index": 2}}),
        json.dumps({"cluster": WORKERS, "task": {"type": "worker", "index": "0"}}),
        json.dumps({"cluster": WORKERS, "task": {"type": "chief", "index": 0}}),
    ],
)
def test_cluster_that_cannot_be_used_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match=r"TF_CONFIG.*Worker 0 is the chief"):
        strategies.check_cluster(text)


def test_cluster_of_two_workers_is_taken():
    strategies.check_cluster(json.dumps({"cluster": WORKERS, "task": TASK_0}))


def test_batch_must_be_shared_equally():
    three = types.SimpleNamespace(num_replicas_in_sync=3)
    strategies.check_batch(three, 12)
    with pytest.raises(ValueError, match=r"--batch_size=16 .* by 3 devices"):
        strategies.check_batch(three, 16)


def test_mirrored_without_a_gpu_wants_a_number_of_cpus(monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    with pytest.raises(ValueError, match="no GPU; --devices=2"):
        strategies.device_names(0)


def test_mirrored_refuses_more_gpus_than_there_are_and_takes_all_of_them_by_default(monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["one", "two"])
    assert strategies.device_names(0) == ["GPU:0", "GPU:1"]
    assert strategies.device_names(1) == ["GPU:0"]
    with pytest.raises(ValueError, match="--devices=3: this machine has 2 GPUs"):
        strategies.device_names(3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"strategy": "tpu"}, "tpu is not supported"),
        ({"strategy": "cluster"}, "must be one of default, mirrored, multi_worker, tpu"),
        ({"devices": 2}, "--devices=2 needs --strategy=mirrored"),
        ({"strategy": "mirrored", "jit_compile": True}, "leave out --jit_compile"),
        ({"strategy": "mirrored", "defence": "nopeek"}, "across the whole batch"),
        ({"strategy": "multi_worker"}, "needs --stages=train"),
    ],
)
def test_settings_that_cannot_be_shared_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Config(**settings)


@pytest.mark.parametrize("error", strategies.LOST)
def test_error_of_a_lost_worker_says_what_to_do(error, monkeypatch):
    monkeypatch.setattr(strategies, "is_clustered", lambda strategy: True)
    with (
        pytest.raises(RuntimeError, match=r"worker is gone.*\(crashed\)\. Start the same command"),
        strategies.others_may_go(tf.distribute.get_strategy()),
    ):
        raise error(None, None, "crashed\nmore")


def test_error_on_one_machine_stays_what_it_is():
    with (
        pytest.raises(tf.errors.InternalError),
        strategies.others_may_go(tf.distribute.get_strategy()),
    ):
        raise tf.errors.InternalError(None, None, "wrong")


def test_one_device_leaves_gradients_and_logs_as_they_are():
    gradients = [tf.ones(2)]
    assert replicas.shared_gradients(gradients, keras.optimizers.Adam()) is gradients
    assert replicas.logs({"loss": gradients[0]})["loss"] is gradients[0]
    assert strategies.is_chief(tf.distribute.get_strategy())
    strategies.meet(tf.distribute.get_strategy(), 3)


@pytest.mark.parametrize("limit", [{"clipnorm": 2.0}, {"global_clipnorm": 2.0}, {"clipvalue": 2.0}])
@pytest.mark.parametrize("scale", [1.0, 8.0])
def test_gradients_are_clipped_as_the_optimizer_would(limit, scale):
    start, gradient = np.array([3.0, -4.0], np.float32), np.array([3.0, -4.0], np.float32)
    expected, found = (keras.Variable(start) for _ in range(2))
    keras.optimizers.SGD(1.0, **limit).apply([tf.constant(gradient)], [expected])
    optimizer = keras.optimizers.SGD(1.0, **limit)
    if scale > 1:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=scale)
        optimizer.build([found])
    clipped = replicas.clip([tf.constant(gradient * scale)], optimizer)
    keras.optimizers.SGD(1.0).apply([clipped[0] / scale], [found])
    np.testing.assert_allclose(found.value.numpy(), expected.value.numpy(), rtol=1e-6)


def test_moments_are_shared_in_copies_with_the_same_weights_and_not_in_files():
    image = keras.Input((2, 2, 3))
    inner = keras.Sequential([layers.BatchNormalization()])
    model = keras.Model(image, inner(layers.BatchNormalization()(image)))
    model.set_weights([np.random.default_rng(0).random(w.shape) for w in model.get_weights()])
    shared = replicas.with_shared_moments(model)
    assert synchronized(shared) == [True, True] and synchronized(model) == [False, False]
    back = replicas.with_own_moments(shared)
    assert synchronized(back) == [False, False] and replicas.with_own_moments(model) is model
    for one, other in zip(model.get_weights(), back.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def synchronized(model):
    return [
        layer.synchronized
        for layer in replicas.rebuilding.all_layers([model])
        if isinstance(layer, layers.BatchNormalization)
    ]


def test_rate_of_learned_noise_is_what_the_layer_adds_to_its_losses():
    code = keras.Input((2, 3))
    encoder = keras.Model(code, code_layers.NoisyCode(0.5, learned=True)(code))
    encoder(tf.zeros((1, 2, 3)), training=True)
    assert float(code_layers.learned_rate(encoder)) == pytest.approx(float(sum(encoder.losses)))
    assert float(code_layers.learned_rate(encoder)) > 0


@pytest.mark.slow
def test_two_devices_take_the_step_of_one():
    done = run_afresh("tests.helpers.processes.two_replicas")
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    unshared = found.pop("unshared_moments")
    for name, case in found.items():
        # Half precision rounds the activations of each share.
        tolerance = 2e-2 if name == "loss_scale" else 1e-5
        assert case["difference"] <= tolerance * case["moved"], (name, case)
    # The measure sees what it is for: moments of each share alone are another training.
    assert unshared["difference"] > 0.01 * unshared["moved"]


def train_together(workdir, modules=("arl_tf.main", "arl_tf.main")):
    """Chief and worker, two processes that train the smoke run together, when both have ended."""
    cluster = {"worker": [f"localhost:{port}" for port in free_ports(2)]}
    tasks = [{"type": "worker", "index": index} for index in (0, 1)]
    flags = ("--flagfile=configs/smoke.cfg", "--stages=train", "--strategy=multi_worker")
    return run_together(
        [(module, *flags, f"--workdir={workdir}", "--deterministic") for module in modules],
        [{"TF_CONFIG": json.dumps({"cluster": cluster, "task": task})} for task in tasks],
    )


def free_ports(count):
    """Ports that nobody listens on."""
    sockets = [socket.create_server(("localhost", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@pytest.mark.slow
@pytest.mark.release
def test_killed_worker_ends_the_chief_with_a_word_and_both_go_on_to_the_weights_of_one(
    smoke_run, tmp_path
):
    alone, workdir = smoke_run[0], tmp_path / "run"
    chief, _ = train_together(workdir, ("arl_tf.main", "tests.helpers.processes.killed_run"))
    said = chief.stderr
    assert chief.returncode == 2 and "Another worker is gone" in said, said[-3000:]
    both = train_together(workdir)
    said = [process.stderr for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert all("Resuming after epoch 1" in words for words in said)
    assert "the chief wrote" in said[1]
    for name in train.KEPT_PLAYERS:
        expected, found = (
            checkpoints.load_player(checkpoints.player_path(root / "checkpoints", name))
            for root in (alone, workdir)
        )
        for one, other in zip(expected.get_weights(), found.get_weights(), strict=True):
            np.testing.assert_allclose(other, one, atol=TOLERANCE)
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2, 3, 4]
    assert len(list((workdir / "logs").glob("*"))) == 2
