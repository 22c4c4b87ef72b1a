"""The players' steps: who moves and who stays, bit for bit; who sees which images; round trips."""

import copy

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from arl_tf.models import code_layers, losses
from arl_tf.training import objective
from arl_tf.training.learner import ADVERSARIAL, ADVERSARY, TASK, AdversarialRepresentationLearner

SIZE, NUM_ATTRIBUTES, BATCH = 8, 3, 6
TASK_LOSSES = {"loss", "task_loss", "privacy_loss", "rate_bits"}
# Keras 3.15 converts variables with np.array, of which NumPy 2.4 complains when weights are saved.
SAVES_WEIGHTS = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
DECODER_LOSSES = {"reconstruction_loss", "pixel_loss", "perceptual_loss"}


def build_players(normalised=True, dropout=0.5, noise=0.0):
    """Tiny players; unless told otherwise all have BatchNorm, and the head has dropout."""

    def normalise(features):
        return layers.BatchNormalization(momentum=0.5)(features) if normalised else features

    image = keras.Input((SIZE, SIZE, 3), name="image")
    code = normalise(layers.Conv2D(4, 3, 2, padding="same")(image))
    if noise:
        code = code_layers.NoisyCode(noise, learned=True)(code)
    encoder = keras.Model(image, code, name="encoder")
    head_code = keras.Input(code.shape[1:], name="code")
    pooled = layers.GlobalAveragePooling2D()(normalise(layers.Conv2D(5, 1)(head_code)))
    logits = layers.Dense(NUM_ATTRIBUTES)(layers.Dropout(dropout)(pooled))
    task_head = keras.Model(head_code, logits, name="task_head")
    decoder_code = keras.Input(code.shape[1:], name="code")
    features = normalise(layers.Conv2D(6, 3, padding="same", activation="relu")(decoder_code))
    features = layers.UpSampling2D(2)(features)
    picture = layers.Conv2D(3, 3, padding="same", activation="sigmoid")(features)
    return encoder, task_head, keras.Model(decoder_code, picture, name="decoder")


def build_task_decoder():
    logits = keras.Input((NUM_ATTRIBUTES,))
    picture = layers.Dense(SIZE * SIZE * 3, activation="sigmoid")(logits)
    return keras.Model(logits, layers.Reshape((SIZE, SIZE, 3))(picture), name="task_decoder")


def build_perceptual_network():
    image = keras.Input((SIZE, SIZE, 3))
    features = layers.Conv2D(7, 3, 2, padding="same", name="frozen")(image)
    return keras.Model(image, layers.UnitNormalization(axis=-1)(features), name="perceptual")


def build_learner(
    *,
    seed=0,
    phase=ADVERSARIAL,
    form="negative",
    weights=(1.0, 0.1),
    optimizers=None,
    normalised=True,
    dropout=0.5,
    noise=0.0,
    more_decoders=(),
    task_decoder=None,
    **settings,
):
    keras.utils.set_random_seed(seed)
    network = build_perceptual_network()
    learner = AdversarialRepresentationLearner(
        *build_players(normalised, dropout, noise),
        perceptual_features=lambda image: [network(image, training=False)],
        mean_image=np.full((SIZE, SIZE, 3), 0.4, np.float32),
        more_decoders=more_decoders,
        task_decoder=task_decoder,
    )
    learner.compile(
        *(optimizers or (keras.optimizers.AdamW(1e-2), keras.optimizers.Adam(1e-2))),
        phase=phase,
        privacy=losses.PrivacyObjective(form, *weights, margin_pixel=0.05, margin_perceptual=0.5),
        **settings,
    )
    return learner


def batch_of(seed=0, decoder_steps=1):
    """((private_image, attributes), public_images) of random pictures."""
    rng = np.random.default_rng(seed)
    private = tf.constant(rng.random((BATCH, SIZE, SIZE, 3), np.float32))
    attributes = tf.constant(rng.integers(0, 2, (BATCH, NUM_ATTRIBUTES)), tf.float32)
    public = tf.constant(rng.random((decoder_steps, BATCH, SIZE, SIZE, 3), np.float32))
    return (private, attributes), public


def values(*owners):
    """Copies of all variables of models and optimizers, dropout seeds and statistics too."""
    return [variable.value.numpy() for owner in owners for variable in owner.variables]


def moved(before, *owners):
    """For every variable whether one bit of it changed."""
    return [not np.array_equal(old, new) for old, new in zip(before, values(*owners), strict=True)]


def names_of(*owners):
    return [variable.path for owner in owners for variable in owner.variables]


def assert_all_moved(before, *owners):
    stuck = [
        name
        for name, change in zip(names_of(*owners), moved(before, *owners), strict=True)
        if not change
    ]
    assert not stuck


# A bias before BatchNorm has no gradient, so models of these steps are compared by what must move.
def assert_moved_but_for_idle_biases(before, model):
    for variable, change in zip(model.variables, moved(before, model), strict=True):
        idle = variable.path.endswith("bias") and "conv2d" in variable.path
        assert change or idle, variable.path


def test_adversary_step_leaves_encoder_and_head_bit_equal_and_moves_the_decoder():
    learner = build_learner()
    others = (learner.encoder, learner.task_head, learner.protector_optimizer)
    before, decoder_before = values(*others), values(learner.decoder)
    learner.adversary_step(batch_of()[1][0])
    assert not any(moved(before, *others))
    assert_moved_but_for_idle_biases(decoder_before, learner.decoder)
    assert learner.adversary_optimizer.iterations == 1


def test_protector_step_leaves_the_decoder_bit_equal_and_moves_encoder_and_head():
    learner = build_learner()
    others = (learner.decoder, learner.adversary_optimizer)
    before = values(*others)
    encoder_before, head_before = values(learner.encoder), values(learner.task_head)
    learner.protector_step(*batch_of()[0])
    assert not any(moved(before, *others))
    assert_moved_but_for_idle_biases(encoder_before, learner.encoder)
    assert_moved_but_for_idle_biases(head_before, learner.task_head)
    assert learner.protector_optimizer.iterations == 1


@pytest.mark.parametrize("player", ["encoder", "task_head", "decoder"])
def test_moving_statistics_are_among_what_is_compared(player):
    model = getattr(build_learner(), player)
    assert any("moving_mean" in name for name in names_of(model))


def test_compiled_fit_in_the_adversary_phase_leaves_encoder_and_head_bit_equal():
    learner = build_learner(phase=ADVERSARY, decoder_steps=2)
    others = (learner.encoder, learner.task_head, learner.protector_optimizer)
    before, decoder_before = values(*others), values(learner.decoder)
    data = tf.data.Dataset.from_tensors(batch_of(decoder_steps=2)).repeat(3)
    history = learner.fit(data, shuffle=False, verbose=0).history
    assert not any(moved(before, *others))
    assert_moved_but_for_idle_biases(decoder_before, learner.decoder)
    assert learner.adversary_optimizer.iterations == 6
    assert set(history) == {"loss"} | DECODER_LOSSES
    assert history["loss"] == history["reconstruction_loss"]


def test_compiled_fit_in_the_task_phase_leaves_the_decoder_and_reports_its_losses_only():
    learner = build_learner(phase=TASK)
    others = (learner.decoder, learner.adversary_optimizer)
    before = values(*others)
    data = tf.data.Dataset.from_tensors(batch_of()).repeat(3)
    history = learner.fit(data, shuffle=False, verbose=0).history
    assert not any(moved(before, *others))
    assert learner.protector_optimizer.iterations == 3
    assert set(history) == TASK_LOSSES
    assert history["privacy_loss"] == [0.0]
    assert history["loss"] == history["task_loss"]


def test_adversarial_phase_reports_every_loss():
    learner = build_learner()
    data = tf.data.Dataset.from_tensors(batch_of())
    history = learner.fit(data, shuffle=False, verbose=0).history
    assert set(history) == TASK_LOSSES | DECODER_LOSSES


def test_reported_losses_are_formulas_one_and_two():
    learner = build_learner(weights=(2.0, 0.5), mu=0.3)
    logs = {name: float(value) for name, value in learner.train_step(batch_of()).items()}
    assert logs["loss"] == pytest.approx(logs["task_loss"] + logs["privacy_loss"], rel=1e-5)
    assert logs["reconstruction_loss"] == pytest.approx(
        logs["pixel_loss"] + 0.3 * logs["perceptual_loss"], rel=1e-5
    )
    pixel, perceptual = learner.distances(tf.zeros((1, SIZE, SIZE, 3)), batch_of()[0][0])
    expected = -(2 * float(pixel) + 0.5 * float(perceptual))
    assert float(learner.privacy.loss(pixel, perceptual)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("form", "sign"), [("negative", -1), ("toward_mean", 1), ("toward_task", 1)]
)
def test_privacy_loss_is_measured_to_the_forms_own_target(form, sign):
    learner = build_learner(form=form, weights=(1.0, 0.0), task_decoder=build_task_decoder())
    image = batch_of()[0][0]
    reconstruction = np.asarray(learner(image))
    code = learner.encoder(image, training=False)
    logits = learner.task_head(code, training=False)
    target = {
        "negative": np.asarray(image),
        "toward_mean": np.float32(0.4),
        "toward_task": np.asarray(learner.task_decoder(logits)),
    }[form]
    expected = sign * np.square(reconstruction - target).mean()
    assert float(objective.privacy_loss(learner, code, logits, image)) == pytest.approx(
        expected, rel=1e-5
    )


def test_privacy_loss_of_an_ensemble_is_the_mean_of_its_decoders():
    ensemble = [build_players()[2] for _ in range(2)]
    learner = build_learner(weights=(1.0, 0.3), more_decoders=ensemble)
    image = batch_of()[0][0]
    code = learner.encoder(image, training=False)
    together = float(objective.privacy_loss(learner, code, None, image))
    alone = []
    for decoder in [learner.decoder, *ensemble]:
        learner.decoder, learner.more_decoders = decoder, []
        alone.append(float(objective.privacy_loss(learner, code, None, image)))
    assert len(set(alone)) == 3
    assert together == pytest.approx(np.mean(alone), rel=1e-5)


@pytest.mark.parametrize(
    ("form", "passes"),
    # Of two decoders: each reconstruction passes g, and so does what they are compared with.
    [("negative", 3 + 3), ("toward_mean", 3 + 2), ("toward_task", (3 + 1) + 3)],
)
def test_what_reconstructions_are_compared_with_passes_g_once_for_all_decoders(form, passes):
    with_target = {"task_decoder": build_task_decoder()} if form == "toward_task" else {}
    learner = build_learner(form=form, more_decoders=[build_players()[2]], **with_target)
    network, seen = learner.perceptual_features, []
    learner.perceptual_features = lambda image: (seen.append(image.shape), network(image))[1]
    learner.train_step(batch_of())
    assert len(seen) == passes


@pytest.mark.parametrize("form", ["negative", "hinge", "toward_mean", "toward_task"])
def test_losses_with_shared_features_are_those_with_features_of_each_decoder_s_own(form):
    learner = build_learner(
        form=form,
        weights=(1.0, 0.3),
        mu=0.3,
        more_decoders=[build_players()[2]],
        task_decoder=build_task_decoder(),
        optimizers=(keras.optimizers.SGD(0.0), keras.optimizers.SGD(0.0)),
    )
    (image, _), public = batch_of()
    code = learner.encoder(image, training=False)
    logits = learner.task_head(code, training=False)
    target = objective.target_of(learner, form, logits, image)
    terms = [
        learner.privacy.loss(*learner.distances(decoder(code, training=False), target))
        for decoder in learner.decoders
    ]
    found = objective.privacy_loss(learner, code, logits, image)
    assert float(found) == float(tf.add_n(terms) / len(terms))
    public_code = learner.encoder(public[0], training=False)
    pixel, perceptual = learner.distances(learner.decoder(public_code, training=True), public[0])
    learner.adversary_step(public[0])
    logged = learner.loss_trackers["reconstruction_loss"].result()
    assert float(logged) == pytest.approx(float(pixel + 0.3 * perceptual), rel=1e-6)


def test_features_of_a_mean_image_are_those_of_the_one_that_is_set():
    learner = build_learner(form="toward_mean", weights=(0.0, 1.0))
    (image, _), _ = batch_of()
    code = learner.encoder(image, training=False)
    before = float(objective.privacy_loss(learner, code, None, image))
    learner.mean_image = tf.zeros((1, SIZE, SIZE, 3))
    after = float(objective.privacy_loss(learner, code, None, image))
    assert after != before
    learner.keep_mean_features()
    assert float(objective.privacy_loss(learner, code, None, image)) == after


def test_adversary_step_moves_every_decoder_as_if_it_were_alone():
    def step(more):
        optimizers = (keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1))
        learner = build_learner(optimizers=optimizers, more_decoders=more, dropout=0.0)
        learner.adversary_step(batch_of()[1][0])
        return learner

    alone = step([])
    keras.utils.set_random_seed(5)
    other = build_players()[2]
    before = values(other)
    together = step([other])
    assert all(moved(before, other)[: len(other.trainable_variables)])
    for one, same in zip(alone.decoder.get_weights(), together.decoder.get_weights(), strict=True):
        np.testing.assert_allclose(one, same, rtol=1e-5, atol=1e-7)


def test_toward_task_trains_its_decoder_beside_the_adversary_and_not_the_task_head():
    learner = build_learner(form="toward_task", task_decoder=build_task_decoder())
    before = values(learner.task_decoder), values(learner.task_head)
    learner.adversary_step(batch_of()[1][0])
    assert all(moved(before[0], learner.task_decoder))
    assert not any(moved(before[1], learner.task_head))


def test_toward_task_without_its_decoder_is_refused():
    with pytest.raises(ValueError, match="toward_task needs a task_decoder, got None"):
        build_learner(form="toward_task")


def test_price_of_a_bit_lowers_the_share_of_the_signal_and_no_price_leaves_it():
    def share_after(price):
        learner = build_learner(phase=TASK, lambda_rate=price, noise=1.0)
        for step in range(5):
            learner.train_step(batch_of(step))
        noisy, _ = code_layers.bounding_layers(learner.encoder)
        return float(tf.reduce_mean(noisy.signal_share)), learner

    low, learner = share_after(10.0)
    high, _ = share_after(0.0)
    assert low < 0.4 < high
    assert float(learner.loss_trackers["rate_bits"].result()) > 0


def distance_after_protector_steps(form, steps=15):
    """(before, after): the pixel distance that the privacy term of this form is about."""
    learner = build_learner(
        form=form,
        weights=(1000.0, 0.0),
        optimizers=(keras.optimizers.SGD(1e-3), keras.optimizers.SGD(0.1)),
        normalised=False,
        dropout=0.0,
    )
    (image, attributes), _ = batch_of()
    target = learner.mean_image if form == "toward_mean" else image

    def distance():
        return float(learner.distances(learner(image), target)[0])

    # From a flat picture every direction leads away.
    learner.encoder.set_weights([2 * weight for weight in learner.encoder.get_weights()])
    before = distance()
    for _ in range(steps):
        learner.protector_step(image, attributes)
    return before, distance()


def test_negative_privacy_term_makes_the_decoders_reconstruction_worse():
    before, after = distance_after_protector_steps("negative")
    assert after > before + 0.002


def test_toward_mean_pulls_the_reconstruction_to_the_mean_image():
    before, after = distance_after_protector_steps("toward_mean")
    assert 0 <= after < before - 0.002


def test_beyond_its_margin_the_hinge_moves_the_encoder_by_the_task_alone():
    optimizers = [(keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1)) for _ in range(2)]
    hinged = build_learner(form="hinge", optimizers=optimizers[0], normalised=False, dropout=0.0)
    alone = build_learner(phase=TASK, optimizers=optimizers[1], normalised=False, dropout=0.0)
    pixel, perceptual = hinged.distances(hinged(batch_of()[0][0]), batch_of()[0][0])
    assert pixel > hinged.privacy.margin_pixel and perceptual > hinged.privacy.margin_perceptual
    for learner in (hinged, alone):
        learner.protector_step(*batch_of()[0])
    assert not any(moved(values(hinged.encoder), alone.encoder))


@pytest.mark.parametrize("decoder_steps", [1, 3])
def test_decoder_takes_its_steps_on_different_public_batches(decoder_steps, monkeypatch):
    learner = build_learner(decoder_steps=decoder_steps)
    step, seen = learner.adversary_step, []
    monkeypatch.setattr(
        learner, "adversary_step", lambda image: (seen.append(np.array(image)), step(image))
    )
    batch = batch_of(decoder_steps=decoder_steps)
    learner.train_step(batch)
    assert learner.adversary_optimizer.iterations == decoder_steps
    assert learner.protector_optimizer.iterations == 1
    np.testing.assert_array_equal(np.stack(seen), batch[1])
    assert len({image.tobytes() for image in seen}) == decoder_steps


def test_private_images_go_to_the_protector_and_public_ones_to_the_adversary(monkeypatch):
    learner = build_learner()
    seen = {"private": [], "public": []}
    monkeypatch.setattr(learner, "adversary_step", seen["public"].append)
    monkeypatch.setattr(learner, "protector_step", lambda *given: seen["private"].append(given))
    (private, attributes), public = batch_of()
    learner.train_step(((private, attributes), public))
    np.testing.assert_array_equal(seen["public"], public)
    assert len(seen["private"]) == 1
    assert seen["private"][0][0] is private and seen["private"][0][1] is attributes


def test_decoders_update_does_not_depend_on_private_images():
    one, other = build_learner(), build_learner()
    (private, attributes), public = batch_of()
    one.train_step(((private, attributes), public))
    other.train_step(((1 - private, 1 - attributes), public))
    assert not any(moved(values(one.decoder), other.decoder))
    assert any(moved(values(one.encoder), other.encoder))


def test_protectors_update_does_not_depend_on_public_images_but_through_the_decoder():
    learners = [
        build_learner(
            optimizers=(keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.0)),
            normalised=False,
            dropout=0.0,
        )
        for _ in range(2)
    ]
    private, public = batch_of()
    for learner, images in zip(learners, (public, 1 - public), strict=True):
        learner.train_step((private, images))
    one, other = learners
    before = values(one.encoder, one.task_head)
    assert not any(moved(before, other.encoder, other.task_head))


def test_unknown_phase_is_refused_with_the_choices():
    with pytest.raises(ValueError, match=r"adversarial, defence; got 'both'"):
        build_learner(phase="both")


def test_adversarial_phase_without_a_privacy_term_is_refused():
    learner = build_learner()
    with pytest.raises(ValueError, match="needs a privacy objective"):
        learner.compile(phase=ADVERSARIAL, privacy=None)


@pytest.mark.parametrize("phase", [TASK, ADVERSARY])
def test_other_phases_need_no_privacy_term(phase):
    learner = build_learner()
    learner.compile(keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1), phase=phase, privacy=None)
    learner.train_step(batch_of())


def test_call_is_the_decoders_picture_of_the_code():
    learner = build_learner()
    image = batch_of()[0][0]
    expected = learner.decoder(learner.encoder(image, training=False), training=False)
    np.testing.assert_array_equal(learner(image), expected)


def test_bytes_are_predicted_as_the_floats_they_stand_for_and_other_numbers_are_refused():
    learner = build_learner()
    image = np.random.default_rng(0).integers(0, 256, (BATCH, SIZE, SIZE, 3), np.uint8)
    expected = learner.predict(image.astype(np.float32) / 255, verbose=0)
    # A graph multiplies by 1 / 255 where NumPy divides.
    np.testing.assert_allclose(learner.predict(image, verbose=0), expected, atol=1e-6)
    np.testing.assert_allclose(learner(image), expected, atol=1e-6)
    with pytest.raises(ValueError, match="must be uint8, or floats"):
        learner.predict(image.astype(np.int32), verbose=0)


def saved_size(path):
    """How many numbers a weights file holds."""
    sizes = []
    with h5py.File(path) as stored:
        stored.visititems(lambda _, item: sizes.append(getattr(item, "size", 0)))
    return sum(sizes)


@SAVES_WEIGHTS
def test_perceptual_network_is_neither_among_the_variables_nor_saved(tmp_path):
    learner = build_learner(dropout=0.0)
    players = (learner.encoder, learner.task_head, learner.decoder)
    assert not any("frozen" in variable.path for variable in learner.variables)
    of_players = {id(v) for player in players for v in player.variables}
    of_metrics = {id(v) for metric in learner.loss_trackers.values() for v in metric.variables}
    assert {id(variable) for variable in learner.variables} <= of_players | of_metrics
    assert of_players <= {id(variable) for variable in learner.variables}
    learner.save_weights(tmp_path / "learner.weights.h5")
    optimizers = (learner.protector_optimizer, learner.adversary_optimizer)
    counted = sum(value.size for value in values(*players, *optimizers))
    trackers = sum(value.size for value in values(*learner.loss_trackers.values()))
    assert counted <= saved_size(tmp_path / "learner.weights.h5") <= counted + trackers


def state(learner):
    players = (learner.encoder, learner.task_head, learner.decoder)
    return (*players, learner.protector_optimizer, learner.adversary_optimizer)


def scheduled():
    rates = [keras.optimizers.schedules.CosineDecay(1e-2, 5) for _ in range(2)]
    return keras.optimizers.AdamW(rates[0]), keras.optimizers.Adam(rates[1])


@SAVES_WEIGHTS
def test_saved_weights_restore_all_players_and_both_optimizers(tmp_path):
    learner = build_learner(dropout=0.0, optimizers=scheduled())
    for seed in range(3):
        learner.train_step(batch_of(seed))
    learner.save_weights(tmp_path / "learner.weights.h5")
    other = build_learner(seed=1, dropout=0.0, optimizers=scheduled())
    assert any(moved(values(learner.encoder), other.encoder))
    other.load_weights(tmp_path / "learner.weights.h5")
    assert not any(moved(values(*state(learner)), *state(other)))


@SAVES_WEIGHTS
def test_resumed_training_equals_the_uninterrupted_bit_for_bit(tmp_path):
    learner = build_learner(dropout=0.0, optimizers=scheduled())
    learner.train_step(batch_of(0))
    learner.save_weights(tmp_path / "learner.weights.h5")
    resumed = build_learner(seed=1, dropout=0.0, optimizers=scheduled())
    resumed.load_weights(tmp_path / "learner.weights.h5")
    # The perceptual network isn't saved: a run builds it again from its package.
    resumed.perceptual_features = learner.perceptual_features
    for seed in (1, 2):
        learner.train_step(batch_of(seed))
        resumed.train_step(batch_of(seed))
    assert not any(moved(values(*state(learner)), *state(resumed)))


def test_step_does_not_change_its_batch():
    learner = build_learner()
    batch = batch_of()
    before = copy.deepcopy([np.array(part) for part in tf.nest.flatten(batch)])
    learner.train_step(batch)
    for old, new in zip(before, tf.nest.flatten(batch), strict=True):
        np.testing.assert_array_equal(old, new)
