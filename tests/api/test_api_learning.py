"""AdversarialRepresentationLearner as a Keras user expects it, from defaults to load."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import arl_tf
from arl_tf.config.settings import Config
from arl_tf.models import losses
from arl_tf.training import rules
from arl_tf.training.step_images import mean_public_image

SIZE, LABELS, COUNT = 32, 3, 24
# Keras' own files and callbacks still ask numpy in the old way.
OF_KERAS = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def players():
    """(encoder, task_head, decoder) of a user's own making."""
    keras.utils.set_random_seed(1)
    encoder = keras.Sequential(
        [keras.Input((SIZE, SIZE, 3)), keras.layers.Conv2D(4, 3, 4, padding="same")], name="mine"
    )
    task_head = keras.Sequential(
        [keras.Input((8, 8, 4)), keras.layers.Flatten(), keras.layers.Dense(LABELS)]
    )
    decoder = keras.Sequential(
        [
            keras.Input((8, 8, 4)),
            keras.layers.Conv2DTranspose(3, 4, 4, padding="same", activation="sigmoid"),
        ]
    )
    return encoder, task_head, decoder


def data(seed=0, dtype=np.uint8):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (COUNT, SIZE, SIZE, 3)).astype(np.uint8)
    if dtype == np.float32:
        images = images.astype(np.float32) / 255
    return images, rng.integers(0, 2, (COUNT, LABELS)).astype(np.uint8)


def features(image):
    return [image]


def learner_of(**settings):
    learner = arl_tf.AdversarialRepresentationLearner(*players(), perceptual_features=features)
    learner.compile(**settings)
    return learner


def test_compile_and_fit_need_no_argument_beyond_the_data():
    learner = arl_tf.AdversarialRepresentationLearner(*players())
    learner.compile()
    before = [w.copy() for w in learner.get_weights()]
    batches = arl_tf.adversarial_dataset(data(), data(1)[0], batch_size=8)
    history = learner.fit(batches, epochs=1, verbose=0)
    assert set(history.history) >= {"loss", "task_loss", "privacy_loss", "reconstruction_loss"}
    assert all(np.isfinite(values).all() for values in history.history.values())
    assert any((one != two).any() for one, two in zip(before, learner.get_weights(), strict=True))


def test_uint8_images_are_scaled_as_float_ones_are():
    of_bytes, of_floats = (
        learner_of().evaluate(
            arl_tf.adversarial_dataset(data(0, kind), data(1, kind)[0], batch_size=8),
            verbose=0,
            return_dict=True,
        )
        for kind in (np.uint8, np.float32)
    )
    assert of_bytes["pixel_loss"] == pytest.approx(of_floats["pixel_loss"], rel=1e-5)


def test_evaluate_moves_nobody_and_gives_the_losses_of_the_formulas():
    learner = learner_of()
    (images, labels), public = data(), data(1)[0]
    before = [w.copy() for w in learner.get_weights()]
    found = learner.evaluate(
        arl_tf.adversarial_dataset((images, labels), public, batch_size=COUNT),
        verbose=0,
        return_dict=True,
    )
    logits = learner.task_head(learner.encoder(images / np.float32(255)))
    expected = float(losses.task_loss(logits, labels.astype(np.float32)))
    assert found["task_loss"] == pytest.approx(expected, rel=1e-5)
    seen = public / np.float32(255)
    pixel = float(np.mean((learner.decoder(learner.encoder(seen)).numpy() - seen) ** 2))
    assert found["pixel_loss"] == pytest.approx(pixel, rel=1e-5)
    assert found["reconstruction_loss"] == pytest.approx(
        found["pixel_loss"] + 0.1 * found["perceptual_loss"], rel=1e-5
    )
    for one, two in zip(before, learner.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_evaluate_gives_the_tasks_loss_as_the_loss_that_callbacks_watch():
    batches = arl_tf.adversarial_dataset(data(), data(1)[0], batch_size=COUNT)
    found = learner_of().evaluate(batches, verbose=0, return_dict=True)
    assert found["loss"] == found["task_loss"]


@pytest.mark.parametrize("phase", ["task", "adversary", "adversarial"])
def test_an_evaluation_begins_its_means_anew_in_every_phase(phase):
    learner = learner_of(phase=phase)
    (images, labels), public = data(), data(1)[0]
    dark = arl_tf.adversarial_dataset((images, labels), public // 4, batch_size=COUNT)
    light = arl_tf.adversarial_dataset((images, labels), public, batch_size=COUNT)
    alone = learner.evaluate(light, verbose=0, return_dict=True)
    learner.evaluate(dark, verbose=0)
    assert learner.evaluate(light, verbose=0, return_dict=True) == pytest.approx(alone, rel=1e-6)


def test_fit_before_compile_is_refused_in_keras_words():
    learner = learner_of()
    again = type(learner)(learner.encoder, learner.task_head, learner.decoder)
    batches = arl_tf.adversarial_dataset(data(), data(1)[0], batch_size=4)
    with pytest.raises(ValueError, match=r"You must call `compile\(\)` before"):
        again.fit(batches, epochs=1, verbose=0)


def test_several_decoder_steps_take_several_public_batches():
    learner = learner_of(decoder_steps=2)
    batches = arl_tf.adversarial_dataset(data(), data(1)[0], batch_size=4, decoder_steps=2)
    assert batches.element_spec[1].shape[:2] == (2, 4)
    learner.fit(batches, epochs=1, verbose=0)
    assert learner.adversary_optimizer.iterations == 2 * learner.protector_optimizer.iterations
    few = arl_tf.adversarial_dataset(data(), data(1)[0], batch_size=4)
    with pytest.raises(ValueError, match="decoder_steps=2 needs public images"):
        learner_of(decoder_steps=2).fit(few, epochs=1, verbose=0)


@pytest.mark.parametrize(
    ("loss", "labels", "expected"),
    [
        ("binary", np.zeros((2, 3)), np.log(2)),
        ("categorical", np.array([0, 2]), np.log(3)),
        ("categorical", np.eye(3)[:2], np.log(3)),
        ("sparse_categorical_crossentropy", np.array([[0], [2]]), np.log(3)),
        ("mse", np.ones((2, 3)), 1.0),
        (keras.losses.MeanAbsoluteError(), np.full((2, 3), 0.5), 0.5),
        (lambda labels, logits: tf.reduce_sum(labels - logits), np.ones((2, 3)), 6.0),
    ],
)
def test_a_task_may_have_any_loss_of_logits(loss, labels, expected):
    found = losses.named_task_loss(loss)(tf.zeros((2, 3)), tf.constant(labels, tf.float32))
    assert float(found) == pytest.approx(expected, rel=1e-6)


def test_an_unknown_loss_is_refused_by_name():
    with pytest.raises(ValueError, match="got 'binray'"):
        learner_of(loss="binray")


def test_players_that_do_not_fit_are_refused_with_their_shapes():
    encoder, task_head, decoder = players()
    other = keras.Sequential([keras.Input((5,)), keras.layers.Dense(2)])
    with pytest.raises(ValueError, match=r"task_head takes \[5\], expected .*\[8, 8, 4\]"):
        arl_tf.AdversarialRepresentationLearner(encoder, other, decoder)
    with pytest.raises(ValueError, match="decoder gives pictures"):
        arl_tf.AdversarialRepresentationLearner(
            encoder, task_head, keras.Sequential([keras.Input((8, 8, 4)), keras.layers.Flatten()])
        )


@OF_KERAS
def test_a_saved_learner_is_loaded_with_its_weights_optimizers_and_settings(tmp_path):
    learner = arl_tf.AdversarialRepresentationLearner(*players())
    privacy = losses.PrivacyObjective("toward_mean", 1.0, 0.0)
    learner.compile(privacy=privacy, loss="binary", mu=0.0)
    batches = arl_tf.adversarial_dataset(data(), data(1)[0], batch_size=8)
    learner.fit(batches, epochs=1, verbose=0)
    learner.save(tmp_path / "learner.keras")
    loaded = keras.models.load_model(tmp_path / "learner.keras")
    for one, two in zip(learner.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    assert loaded.privacy == privacy and loaded.mu == 0.0
    assert int(loaded.adversary_optimizer.iterations) == 3
    np.testing.assert_allclose(loaded.mean_image, learner.mean_image, atol=1e-7)
    first, again = (each.evaluate(batches, verbose=0) for each in (learner, loaded))
    np.testing.assert_allclose(first, again, rtol=1e-5)


def test_a_learner_with_a_function_for_g_says_how_to_load_it(tmp_path):
    config = learner_of().get_config()
    with pytest.raises(ValueError, match="load_weights"):
        arl_tf.AdversarialRepresentationLearner.from_config(config)


def test_the_mean_image_is_that_of_the_public_images():
    learner = learner_of(privacy=losses.PrivacyObjective("toward_mean", 1.0, 0.0))
    public = data(1)[0]
    batches = arl_tf.adversarial_dataset(data(), public, batch_size=COUNT)
    np.testing.assert_allclose(
        mean_public_image(batches), public.mean(axis=0) / 255, rtol=1e-4, atol=1e-6
    )
    learner.fit(batches, epochs=1, verbose=0)
    np.testing.assert_allclose(learner.mean_image[0], public.mean(axis=0) / 255, atol=1e-5)


@pytest.mark.parametrize(
    ("private", "public", "message"),
    [
        (
            (np.zeros((9, 8, 8)), np.zeros(9)),
            np.zeros((9, 8, 8, 3)),
            r"private images .*\[9, 8, 8\]",
        ),
        ((np.zeros((9, 8, 8, 3)), np.zeros(8)), np.zeros((9, 8, 8, 3)), "9 images and 8 labels"),
        ((np.zeros((3, 8, 8, 3)), np.zeros(3)), np.zeros((9, 8, 8, 3)), "fewer than batch_size=4"),
    ],
)
def test_arrays_that_are_no_data_set_are_refused(private, public, message):
    with pytest.raises(ValueError, match=message):
        arl_tf.adversarial_dataset(private, public, batch_size=4)


def test_datasets_are_taken_as_arrays_are():
    private = tf.data.Dataset.from_tensor_slices(data())
    public = tf.data.Dataset.from_tensor_slices(data(1)[0])
    (images, labels), seen = next(iter(arl_tf.adversarial_dataset(private, public, batch_size=5)))
    assert images.shape == (5, SIZE, SIZE, 3) and labels.shape == (5, LABELS)
    assert seen.shape == (5, SIZE, SIZE, 3)


def test_an_epoch_shows_every_private_image_once():
    private = (np.zeros((8, 2, 2, 3), np.float32), np.arange(8))
    batches = arl_tf.adversarial_dataset(private, np.zeros((3, 2, 2, 3), np.float32), batch_size=2)
    seen = np.concatenate([labels for (_, labels), _ in batches.as_numpy_iterator()])
    assert sorted(seen) == list(range(8))


def test_keras_names_of_compile_are_taken():
    learner = learner_of(
        optimizer="sgd", adversary_optimizer="adam", privacy="hinge", metrics=["accuracy"]
    )
    assert isinstance(learner.protector_optimizer, keras.optimizers.SGD)
    assert learner.optimizer is learner.protector_optimizer
    assert learner.privacy.form == "hinge"
    # By its name alone it has the margins of the flags, below which it rewards.
    flags = Config()
    margins = learner.privacy.margin_pixel, learner.privacy.margin_perceptual
    assert margins == (flags.hinge_margin_pixel, flags.hinge_margin_perceptual)
    assert float(learner.privacy.loss(tf.constant(0.01), tf.constant(1.0))) == pytest.approx(-0.02)
    batches = arl_tf.adversarial_dataset(data(), data(1)[0], batch_size=8)
    history = learner.fit(batches, validation_data=batches, verbose=0).history
    assert {"accuracy", "val_accuracy", "val_loss"} <= set(history)


@pytest.mark.parametrize(
    ("loss", "labels", "logits", "expected"),
    [
        ("binary", [[1, 0], [0, 1]], [[0.2, -3.0], [0.1, 4.0]], 0.75),
        ("categorical", [1, 0], [[0.1, 0.3], [0.2, 0.4]], 0.5),
        ("categorical", [[0, 1], [0, 1]], [[0.1, 0.3], [0.2, 0.4]], 1.0),
        (keras.losses.SparseCategoricalCrossentropy(), [1, 1], [[3.0, 0.3], [0.2, 0.4]], 0.5),
    ],
)
def test_accuracy_is_the_share_of_right_decisions_by_logits(loss, labels, logits, expected):
    (metric,) = rules.task_metrics(["accuracy"], loss)
    metric.update_state(tf.constant(labels), tf.constant(logits))
    assert float(metric.result()) == expected


@pytest.mark.parametrize(
    "loss",
    [
        keras.losses.BinaryCrossentropy(),
        "binary_focal_crossentropy",
        keras.losses.SparseCategoricalCrossentropy(),
        keras.losses.binary_crossentropy,
    ],
)
def test_a_loss_on_probabilities_is_refused(loss):
    with pytest.raises(ValueError, match="give it from_logits=True"):
        losses.named_task_loss(loss)
    losses.named_task_loss(keras.losses.BinaryCrossentropy(from_logits=True))


@pytest.mark.parametrize(
    ("metric", "remedy"),
    [
        ("binary_crossentropy", "from_logits=True"),
        (keras.metrics.AUC(), "from_logits=True"),
        (keras.metrics.BinaryAccuracy(), "threshold=0.0"),
        (keras.metrics.Precision(), "thresholds=0.0"),
    ],
)
def test_a_metric_on_probabilities_is_refused(metric, remedy):
    with pytest.raises(ValueError, match=remedy):
        rules.task_metrics([metric], "binary")


def test_metrics_on_logits_are_taken_and_a_binary_accuracy_decides_at_0():
    given = [keras.metrics.AUC(from_logits=True), keras.metrics.Precision(thresholds=0.0)]
    found = rules.task_metrics(["binary_accuracy", "mean_squared_error", *given], "binary")
    assert found[2:] == given
    found[0].update_state(tf.constant([[1.0], [0.0]]), tf.constant([[0.2], [-3.0]]))
    assert float(found[0].result()) == 1.0


def test_an_evaluation_counts_images_and_not_batches():
    learner = learner_of(metrics=["accuracy"])
    (images, labels), public = data(), data(1)[0]
    found = learner.evaluate(
        arl_tf.adversarial_dataset((images, labels), public, batch_size=16, training=False),
        verbose=0,
        return_dict=True,
    )
    logits = learner.task_head(learner.encoder(images / np.float32(255)))
    expected = float(losses.task_loss(logits, labels.astype(np.float32)))
    assert found["loss"] == pytest.approx(expected, rel=1e-5)
    assert found["accuracy"] == pytest.approx(np.mean((logits.numpy() > 0) == labels), abs=1e-6)


def test_without_training_every_image_comes_once_and_in_order():
    private = (np.zeros((7, 2, 2, 3), np.float32), np.arange(7))
    public = np.zeros((3, 2, 2, 3), np.float32)
    for _ in range(2):
        batches = arl_tf.adversarial_dataset(private, public, batch_size=4, training=False)
        seen = [list(labels) for (_, labels), _ in batches.as_numpy_iterator()]
        assert seen == [[0, 1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("decoder_steps", 0),
        ("decoder_steps", 1.5),
        ("mu", -1.0),
        ("lambda_rate", -1.0),
        ("weight_average", 1.5),
        ("adversary_critic_weight", -0.1),
        ("private_labels", -1),
        ("mu", float("nan")),
    ],
)
def test_numbers_out_of_their_range_are_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} must be .*; got {value!r}"):
        learner_of(**{name: value})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"privacy": "negatve"}, "privacy must be one of negative, .*'negatve'"),
        ({"optimizer": "adam", "protector_optimizer": "sgd"}, "give one of the two"),
        ({"optimizer": "adamm"}, "adamm"),
    ],
)
def test_names_that_compile_does_not_know_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        learner_of(**settings)


@pytest.mark.parametrize(
    ("arguments", "got"),
    [
        (lambda: (tf.data.Dataset.from_tensor_slices(data()).batch(8),), r"\[None, 32, 32, 3\]"),
        (lambda: data(), "got y"),
        (lambda: (None,), "got None"),
    ],
)
def test_data_of_another_structure_are_refused(arguments, got):
    with pytest.raises(ValueError, match=rf"\(\(images, labels\), public images\).*{got}"):
        learner_of().fit(*arguments(), verbose=0)


def test_weights_of_classes_are_refused():
    batches = arl_tf.adversarial_dataset(data(), data(1)[0], batch_size=8)
    with pytest.raises(ValueError, match="got class_weight"):
        learner_of().fit(batches, class_weight={0: 1.0}, verbose=0)


@pytest.mark.parametrize("kind", [list, lambda each: each[0], tuple])
def test_a_single_callback_goes_with_an_average_of_the_weights(kind):
    learner = learner_of(weight_average=0.9)
    batches = arl_tf.adversarial_dataset(data(), data(1)[0], batch_size=8)
    seen = []
    callback = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(epoch))
    learner.fit(batches, epochs=2, verbose=0, callbacks=kind([callback]))
    assert seen == [0, 1]


@OF_KERAS
def test_callbacks_that_change_the_rate_change_the_encoders():
    learner = learner_of()
    batches = arl_tf.adversarial_dataset(data(), data(1)[0], batch_size=8)
    schedule = keras.callbacks.LearningRateScheduler(lambda epoch: 0.125)
    learner.fit(batches, verbose=0, callbacks=schedule)
    assert float(learner.protector_optimizer.learning_rate) == 0.125
    assert float(learner.adversary_optimizer.learning_rate) != 0.125


def test_the_mean_image_is_not_taken_from_what_looking_uses_up():
    learner = learner_of(privacy="toward_mean")
    batches = arl_tf.adversarial_dataset(data(), data(1)[0], batch_size=8)
    with pytest.raises(ValueError, match=r"mean_image=.* got generator"):
        learner.fit((batch for batch in batches), verbose=0)


@OF_KERAS
def test_a_learner_that_was_never_compiled_is_saved_and_loaded(tmp_path):
    learner = arl_tf.AdversarialRepresentationLearner(*players())
    learner.save(tmp_path / "learner.keras")
    loaded = type(learner).load(tmp_path / "learner.keras")
    assert not loaded.compiled
    for one, two in zip(learner.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


@OF_KERAS
def test_forms_that_hold_no_learner_are_refused_before_anything_is_written(tmp_path):
    learner = learner_of()
    with pytest.raises(ValueError, match=r"\.keras"):
        learner.save(tmp_path / "learner.h5")
    with pytest.raises(ValueError, match=r"make_unpredictable\(learner\.encoder\)"):
        learner.export(tmp_path / "folder")
    assert not list(tmp_path.iterdir())
    learner.encoder.save(tmp_path / "encoder.keras")
    with pytest.raises(ValueError, match="holds a Sequential, expected a learner"):
        type(learner).load(tmp_path / "encoder.keras")


@pytest.mark.slow
@OF_KERAS
def test_a_saved_learner_is_loaded_by_a_new_process(tmp_path):
    learner = arl_tf.AdversarialRepresentationLearner(*players())
    learner.compile(metrics=["accuracy"])
    learner.save(tmp_path / "learner.keras")
    program = (
        "import sys, arl_tf\n"
        "learner = arl_tf.AdversarialRepresentationLearner.load(sys.argv[1])\n"
        "print(learner.phase, learner.task_metrics[0].name)"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "learner.keras")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.split() == ["adversarial", "accuracy"]


class Subclassed(keras.Model):
    """A model whose shapes nobody knows."""

    def call(self, image):
        """The image."""
        return image


@pytest.mark.parametrize(
    "encoder", [Subclassed, lambda: keras.Sequential([keras.layers.Dense(2)]), lambda: print]
)
def test_models_whose_shapes_are_not_known_are_refused(encoder):
    _, task_head, decoder = players()
    with pytest.raises(ValueError, match=r"encoder must be .* keras\.Input"):
        arl_tf.AdversarialRepresentationLearner(encoder(), task_head, decoder)


@pytest.mark.parametrize(
    ("private", "public", "settings", "message"),
    [
        (np.zeros((9, 8, 8, 3)), None, {}, r"private must be \(images, labels\)"),
        (None, None, {"batch_size": 0}, "batch_size must be .* got 0"),
        (None, None, {"decoder_steps": 0}, "decoder_steps must be .* got 0"),
        (None, np.zeros((9, 16, 16, 3), np.uint8), {}, "of one size"),
        (None, np.full((9, 32, 32, 3), 200.0), {}, "floats from 200 to 200"),
        (None, np.full((9, 32, 32, 3), np.nan), {}, "floats from nan"),
        (None, np.zeros((9, 32, 32, 3), np.int32), {}, "got int32"),
        (
            tf.data.Dataset.from_tensor_slices(data()).batch(4),
            None,
            {},
            r"unbatch\(\)",
        ),
        (tf.data.Dataset.from_tensor_slices(data()[0]), None, {}, r"Dataset of \(image, label\)"),
        (None, tf.data.Dataset.from_tensor_slices(data()), {}, "Dataset of images alone"),
        (
            tf.data.Dataset.from_tensor_slices((data()[0] * 255.0, data()[1])),
            None,
            {},
            "private images must be uint8, or floats in .0, 1.; got floats from",
        ),
        (
            None,
            tf.data.Dataset.from_tensor_slices(data()[0] * 255.0),
            {},
            "public images must be uint8, or floats in .0, 1.; got floats from",
        ),
    ],
)
def test_data_that_would_be_read_wrongly_are_refused(private, public, settings, message):
    private = data() if private is None else private
    public = data(1)[0] if public is None else public
    with pytest.raises(ValueError, match=message):
        arl_tf.adversarial_dataset(private, public, **{"batch_size": 4, **settings})


def test_images_of_double_precision_train():
    (images, labels), public = data(), data(1)[0]
    batches = arl_tf.adversarial_dataset((images / 255.0, labels), public / 255.0, batch_size=8)
    learner_of().fit(batches, verbose=0)


@pytest.mark.parametrize("kind", [np.int8, np.float32])
def test_labels_of_minus_one_and_one_are_refused(kind):
    images, labels = np.zeros((4, 32, 32, 3), np.uint8), np.array([[-1, 1]] * 4, kind)
    with pytest.raises(ValueError, match="expects 0 and 1"):
        arl_tf.adversarial_dataset((images, labels), images, batch_size=2)


@pytest.mark.parametrize("name", ["learner", "learner.zip", "learner.h5"])
def test_a_learner_is_saved_to_keras_files_alone(tmp_path, name):
    with pytest.raises(ValueError, match=r"must end with \.keras; got"):
        learner_of().save(tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["batch_size", "decoder_steps"])
@pytest.mark.parametrize("value", ["16", 16.0, None, 0])
def test_numbers_that_are_not_whole_are_refused_by_name(name, value):
    with pytest.raises(ValueError, match=f"{name} must be a whole number >= 1; got {value!r}"):
        arl_tf.adversarial_dataset(data(), data(1)[0], **{name: value})


def test_datasets_without_any_image_are_refused():
    private = tf.data.Dataset.from_tensor_slices(data())
    public = tf.data.Dataset.from_tensor_slices(data(1)[0])
    for given, name in (((private.take(0), public), "private"), ((private, public.take(0)), "pub")):
        with pytest.raises(ValueError, match=f"{name}.* has no images: the Dataset is empty"):
            arl_tf.adversarial_dataset(*given, batch_size=4)
