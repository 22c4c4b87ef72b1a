"""One step of the learner for each defence; warm starts, saved learners, phases."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from tiny_learner import batch, build_learner

import arl_tf
from arl_tf.config import defences as names
from arl_tf.config.settings import Config, subset
from arl_tf.defences import registry
from arl_tf.defences.definition import Choice
from arl_tf.models import code_layers
from arl_tf.models.fingerprint import weights_hash
from arl_tf.training import building, checkpoints, defending, phases, train
from arl_tf.training.settings import TrainingSettings

SAVES = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.mark.parametrize("name", registry.DEFENCES)
def test_a_step_moves_the_encoder_and_the_layers_and_logs_the_weighted_loss(name):
    choice = registry.choice_of(name)
    learner = build_learner(choice)
    before = [variable.numpy() for variable in learner.encoder.trainable_variables]
    logs = learner.train_step(batch(learner.private_labels))
    assert all(np.isfinite(float(value)) for value in logs.values())
    assert float(logs["loss"]) == pytest.approx(
        float(logs["task_loss"]) + float(logs["privacy_loss"]), rel=1e-5
    )
    defence = registry.DEFENCES[name]
    assert ("pixel_loss" in logs) == defence.adversary
    assert defence.loss or float(logs["privacy_loss"]) == 0
    after = [variable.numpy() for variable in learner.encoder.trainable_variables]
    assert all(not np.array_equal(old, new) for old, new in zip(before, after, strict=True))


# Random private labels tell nothing from the start, and a memory nothing of the first step: these
# defences have tests of their own.
@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        name
        for name, defence in registry.DEFENCES.items()
        if defence.loss and not defence.private and (defence.private_optional or not defence.memory)
    ],
)
def test_steps_against_the_loss_alone_lower_it(name):
    # The strength drowns the task; a bound of next to nothing keeps the hinge from being met.
    choice = registry.choice_of(name, 100.0, 1e-3 if name == "ssim_hinge" else 0.0)
    learner = build_learner(choice, optimizer=keras.optimizers.Adam(0.05))
    (private, labels), _ = batch(learner.private_labels)
    found = []
    for _ in range(8):
        learner.loss_trackers["privacy_loss"].reset_state()
        learner.protector_step(private, labels)
        found.append(float(learner.loss_trackers["privacy_loss"].result()))
    assert np.mean(found[-2:]) < np.mean(found[:2]) - 1e-3


@pytest.mark.parametrize(
    ("loss", "labels", "classes"),
    [
        ("categorical", [[0.0, 1, 0], [1, 0, 0]], [[0, 1, 0], [1, 0, 0]]),
        # Those of a teacher.
        ("categorical", [[0.2, 0.5, 0.3], [0.4, 0.3, 0.3]], [[0, 1, 0], [1, 0, 0]]),
        ("sparse_categorical_crossentropy", [1, 0], [[0, 1, 0], [1, 0, 0]]),
        ("binary", [[0.0, 1, 0], [1, 0, 0]], None),
        ("mse", [[0.0, 1, 0], [1, 0, 0]], None),
    ],
)
def test_a_defence_sees_the_classes_of_a_task_that_has_some(loss, labels, classes):
    learner = build_learner(registry.choice_of("nopeek"))
    learner.task_loss_name = loss
    logits = tf.zeros((2, 3))
    seen = defending.step_of(learner, None, logits, logits, tf.constant(labels), logits).classes
    if classes is None:
        assert seen is None
    else:
        np.testing.assert_array_equal(seen, classes)


def test_the_loss_counts_only_after_the_warm_up():
    learner = build_learner(registry.choice_of("nopeek"), phase=phases.TASK)
    assert float(learner.train_step(batch())["privacy_loss"]) == 0


def test_a_defence_that_observes_does_so_in_the_warm_up_too():
    learner = build_learner(registry.choice_of("fisher"), phase=phases.TASK)
    learner.train_step(batch())
    noisy, _ = code_layers.bounding_layers(learner.encoder)
    assert float(noisy.steps) == 1


@pytest.mark.parametrize("choice", [None, Choice("ssim_hinge", 1.0, 0.3)])
def test_the_phase_without_decoders_wants_a_defence_without_them(choice):
    learner = build_learner(registry.choice_of("noise"))
    with pytest.raises(ValueError, match="phase defence needs one without decoders"):
        learner.compile(phase=phases.DEFENCE, privacy=None, defence=choice)


@SAVES
def test_a_saved_learner_comes_back_with_its_defence(tmp_path):
    choice = registry.choice_of("entropy", 0.5, 0.7)
    learner = build_learner(choice)
    # What a file can hold: the name of a network, not a function.
    learner.perceptual_name = "efficientnet_lite0"
    config = learner.get_compile_config()
    assert config["defence"] == {"name": "entropy", "strength": 0.5, "bound": 0.7}
    other = build_learner(registry.choice_of("noise"))
    other.compile_from_config(config)
    assert other.defence == choice


@SAVES
@pytest.mark.parametrize(
    "name", ["shredder", "fisher", "pruning", "dropout", "bottleneck", "decomposition"]
)
def test_an_encoder_with_a_defence_s_layers_comes_back_from_disk(name, tmp_path):
    encoder = build_learner(registry.choice_of(name)).encoder
    checkpoints.save_player(encoder, tmp_path / "encoder.keras")
    loaded = checkpoints.load_player(tmp_path / "encoder.keras")
    image = batch()[0][0]
    for one, other in zip(encoder.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(
        code_layers.mean_encoder(loaded)(image), code_layers.mean_encoder(encoder)(image)
    )


@pytest.mark.parametrize("name", ["noise", "laplace", "dropout", "shredder"])
def test_the_hash_of_an_encoder_covers_the_size_of_its_noise(name):
    numbers = ((0.3, 0.0), (0.6, 0.0)) if name != "shredder" else ((1.0, 0.3), (1.0, 0.6))
    one, other = (
        weights_hash(build_learner(registry.choice_of(name, *each)).encoder) for each in numbers
    )
    assert one != other


def settings(**changes):
    config = Config(
        image_size=32, code_channels=4, decoder_width=4, warmup_epochs=4, epochs=6, **changes
    )
    return subset(config, TrainingSettings)


@pytest.mark.parametrize(
    ("defence", "expected"),
    [
        ("nopeek", [(phases.TASK, 4), (phases.DEFENCE, 6)]),
        ("noise", [(phases.TASK, 4), (phases.DEFENCE, 6)]),
        (
            "ssim_hinge",
            [(phases.TASK, 4), (phases.ADVERSARY, 2), (phases.ADVERSARIAL, 6)],
        ),
    ],
)
def test_phases_have_decoders_where_the_defence_needs_them(defence, expected):
    assert train.phases(settings(defence=defence)) == expected


@SAVES
def test_a_warm_start_takes_all_but_the_defence_s_layers(tmp_path):
    plain = settings(defence="none")
    first = building.build_learner(plain, 3, np.zeros((32, 32, 3), np.float32))
    for name in ("encoder", "task_head"):
        path = checkpoints.player_path(tmp_path / checkpoints.FOLDER, name)
        checkpoints.save_player(getattr(first, name), path)
    started = settings(defence="decomposition", warm_start=str(tmp_path))
    second = building.build_learner(
        dataclasses.replace(started, seed=9), 3, np.zeros((32, 32, 3), np.float32)
    )
    own = len(second.encoder.weights) - len(first.encoder.weights)
    assert own == 2
    for one, other in zip(first.encoder.get_weights(), second.encoder.get_weights(), strict=False):
        np.testing.assert_array_equal(one, other)


@pytest.fixture
def few_names(monkeypatch):
    """Registries that a test may add to."""
    monkeypatch.setattr(registry, "DEFENCES", dict(registry.DEFENCES))
    before = {name: list(getattr(names, name)) for name in ("DEFENCES", "WITH_DECODERS")}
    yield
    # The settings hold these very lists.
    for name, kept in before.items():
        getattr(names, name)[:] = kept


def test_a_registered_defence_is_a_value_of_the_flag_and_takes_part_in_the_step(few_names):
    arl_tf.register_defence(
        "small",
        loss=lambda step, bound: tf.reduce_mean(step.codes**2) + bound,
        strength=0.5,
        bound=2.0,
    )
    assert Config(defence="small").defence == "small"
    choice = registry.choice_of("small", 0.25)
    assert choice == Choice("small", 0.25, 2.0)
    assert not registry.trains_decoders("small")
    learner = build_learner(choice)
    (private, labels), _ = batch()
    square = float(tf.reduce_mean(learner.encoder(private, training=True) ** 2))
    learner.protector_step(private, labels)
    logged = float(learner.loss_trackers["privacy_loss"].result())
    assert logged == pytest.approx(0.25 * (square + 2), rel=1e-5)


def test_a_registered_defence_with_decoders_gets_their_pictures(few_names):
    arl_tf.register_defence(
        "grey", loss=lambda step, bound: tf.reduce_mean(step.pictures[0]), adversary=True
    )
    assert "grey" in names.WITH_DECODERS and registry.trains_decoders("grey")
    learner = build_learner(registry.choice_of("grey"))
    logs = learner.train_step(batch())
    assert 0 < float(logs["privacy_loss"]) < 1


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("nopeek", {"loss": len}), "already"),
        (("perceptual", {"loss": len}), "already"),
        (("mine", {}), "needs a loss or layers"),
        (("mine", {"loss": len, "strength": 0.0}), "strength must be > 0"),
    ],
)
def test_defences_that_could_not_work_are_not_registered(few_names, given, words):
    name, arguments = given
    with pytest.raises(ValueError, match=words):
        arl_tf.register_defence(name, **arguments)
    assert "mine" not in registry.DEFENCES


def test_layers_with_other_names_are_refused(few_names):
    arl_tf.register_defence("mine", layers=lambda strength, bound: [layers.Identity(name="mine")])
    with pytest.raises(ValueError, match="must begin with 'defence_', got 'mine'"):
        registry.layers_of(registry.choice_of("mine"))


@pytest.mark.parametrize(
    ("loss", "got"),
    [(lambda step, bound: step.codes, "the shape"), (lambda step, bound: None, "got None")],
)
def test_a_loss_that_is_no_scalar_is_refused(few_names, loss, got):
    arl_tf.register_defence("mine", loss=loss)
    learner = build_learner(registry.choice_of("mine"), phase=phases.DEFENCE)
    with pytest.raises(ValueError, match=f"'mine' must be a scalar, .*{got}|{got}.*reduce_mean"):
        learner.train_step(batch())
