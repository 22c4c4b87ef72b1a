"""Networks: what shape every cut gives, that the parts make up the whole, names, TFLite."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from arl_tf.models import architectures, backbones, costs

SIZE = 32
NUM_ATTRIBUTES = 5
STRIDES = {"early": 4, "middle": 8, "late": 16}
SLOW_TO_BUILD = tuple(backbones.APPLICATIONS)
LARGER = [name for name in SLOW_TO_BUILD if name != "mobilenet_v3_small"]
OF_RELEASES = (pytest.mark.slow, pytest.mark.release)


def case(name, *more):
    """A test's parameters; slow where the network takes long to build."""
    return pytest.param(name, *more, marks=[pytest.mark.slow] * (name in SLOW_TO_BUILD))


NAMES = sorted(backbones.BACKBONES)
BACKBONES = [case(name) for name in NAMES]
EVERY_CUT = [case(name, cut) for name in NAMES for cut in backbones.CUT_LAYERS[name]]


@functools.cache
def build(name, cut, code_channels=0):
    return architectures.build_encoder_and_task_head(
        name,
        image_size=SIZE,
        cut=cut,
        code_channels=code_channels,
        num_attributes=NUM_ATTRIBUTES,
    )


def decoder_of(code_shape, **changes):
    return architectures.build_decoder(
        code_shape, **({"image_size": SIZE, "width": 4, "depth": 1} | changes)
    )


def all_layers(model):
    """The model's layers and those of the models inside it."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from all_layers(layer)
        else:
            yield layer


def assert_standard(model):
    for layer in all_layers(model):
        assert type(layer) is getattr(keras.layers, type(layer).__name__, None), layer
        assert not isinstance(layer, keras.layers.Lambda)


def randomise(model, seed=0):
    """Gives every bias and statistic a random value that keeps outputs moderate."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        if not weight.path.endswith("kernel"):
            weight.assign(rng.uniform(0.5, 1.0, weight.shape))
    return model


@pytest.mark.parametrize(("name", "cut"), EVERY_CUT)
def test_code_grid_is_the_images_divided_by_the_cuts_stride(name, cut):
    encoder, _ = build(name, cut)
    if cut == "pooled":
        assert len(encoder.output_shape) == 2
    else:
        side = SIZE // STRIDES[cut]
        assert encoder.output_shape[:3] == (None, side, side)


@pytest.mark.parametrize(("name", "cut"), EVERY_CUT)
def test_task_head_takes_the_code_to_one_logit_for_each_attribute(name, cut):
    encoder, task_head = build(name, cut)
    assert task_head.input_shape == encoder.output_shape
    assert task_head.output_shape == (None, NUM_ATTRIBUTES)


@pytest.mark.parametrize("name", BACKBONES)
def test_every_cut_divides_the_same_network(name):
    totals = {sum(part.count_params() for part in build(name, cut)) for cut in STRIDES}
    totals.add(sum(part.count_params() for part in build(name, "pooled")))
    assert len(totals) == 1


@pytest.mark.parametrize("name", BACKBONES)
def test_later_cut_leaves_more_in_the_encoder(name):
    sizes = [build(name, cut)[0].count_params() for cut in STRIDES]
    assert sizes == sorted(set(sizes))


def test_small_has_about_a_million_parameters():
    assert 0.7e6 < sum(part.count_params() for part in build("small", "middle")) < 1.3e6


@pytest.mark.parametrize("cut", [*STRIDES, "pooled"])
@pytest.mark.parametrize("name", [case("small"), case("mobilenet_v3_small")])
def test_code_has_the_channels_asked_for(name, cut):
    encoder, task_head = build(name, cut, 6)
    assert encoder.output_shape == (*build(name, cut)[0].output_shape[:-1], 6)
    assert task_head.input_shape == encoder.output_shape


@pytest.mark.parametrize("cut", ["middle", "pooled"])
def test_bottlenecked_code_has_mean_zero_and_variance_one_over_the_batch(cut):
    encoder, _ = build("small", cut, 6)
    images = np.random.default_rng(0).random((64, SIZE, SIZE, 3), np.float32)
    code = np.asarray(encoder(images, training=True))
    axes = tuple(range(code.ndim - 1))
    np.testing.assert_allclose(code.mean(axis=axes), 0, atol=1e-3)
    # The normalisation's epsilon takes a little of the variance.
    np.testing.assert_allclose(code.var(axis=axes), 1, atol=0.15)


def test_scaling_the_bottlenecks_weights_leaves_the_code_as_it_is():
    encoder, _ = architectures.build_encoder_and_task_head(
        "small", image_size=SIZE, cut="middle", code_channels=4, num_attributes=1
    )
    images = np.random.default_rng(0).random((8, SIZE, SIZE, 3), np.float32)
    kernel = encoder.get_layer("bottleneck").kernel
    kernel.assign(100 * kernel)
    before = encoder(images, training=True)
    kernel.assign(100 * kernel)
    np.testing.assert_allclose(encoder(images, training=True), before, atol=1e-3)


def test_encoder_then_head_computes_what_the_uncut_network_does():
    images = np.random.default_rng(0).random((2, SIZE, SIZE, 3), np.float32)
    outputs = {}
    for cut in ("early", "pooled"):
        keras.utils.set_random_seed(1)
        encoder, task_head = architectures.build_encoder_and_task_head(
            "small", image_size=SIZE, cut=cut, code_channels=0, num_attributes=3
        )
        outputs[cut] = np.asarray(task_head(encoder(images)))
    np.testing.assert_allclose(outputs["early"], outputs["pooled"], atol=1e-5)


@pytest.mark.parametrize("name", BACKBONES)
def test_models_inputs_and_outputs_are_named(name):
    encoder, task_head = build(name, "middle")
    assert encoder.name == f"{name}_middle_encoder"
    assert (encoder.inputs[0].name, encoder.output_names) == ("image", ["code"])
    assert task_head.name == "task_head"
    assert (task_head.inputs[0].name, task_head.output_names) == ("code", ["logits"])


@pytest.mark.parametrize("code_shape", [(8, 8, 4), (7,)])
def test_decoder_its_input_and_output_are_named(code_shape):
    decoder = decoder_of(code_shape)
    assert decoder.name == "decoder"
    assert (decoder.inputs[0].name, decoder.output_names) == ("code", ["reconstruction"])
    assert decoder_of(code_shape, name="attacker").name == "attacker"


@pytest.mark.parametrize(("name", "cut"), EVERY_CUT)
def test_all_layers_are_kerass_own(name, cut):
    for part in build(name, cut):
        assert_standard(part)


@pytest.mark.parametrize("code_shape", [(8, 8, 4), (7,)])
def test_all_layers_of_a_decoder_are_kerass_own(code_shape):
    assert_standard(decoder_of(code_shape))


@pytest.mark.parametrize("name", BACKBONES)
def test_no_layer_draws_random_numbers_whose_state_keras_would_not_save(name):
    for part in build(name, "middle"):
        # `variables` are the weights and the states of random number generators.
        assert len(part.variables) == len(part.weights)


@pytest.mark.parametrize("name", BACKBONES)
def test_every_moving_statistic_follows_quickly(name):
    encoder, task_head = build(name, "middle")
    momenta = {
        layer.momentum
        for part in (encoder, task_head)
        for layer in all_layers(part)
        if isinstance(layer, keras.layers.BatchNormalization)
    }
    assert momenta == {backbones.BATCH_NORM_MOMENTUM}


def test_unknown_backbone_is_refused_with_the_choices():
    with pytest.raises(ValueError, match=f"'vgg'.*{', '.join(NAMES)}"):
        build("vgg", "middle")


@pytest.mark.parametrize("name", BACKBONES)
def test_unknown_cut_is_refused_with_the_choices(name):
    with pytest.raises(ValueError, match=rf"'top' of {name}.*early, middle, late, pooled"):
        build(name, "top")


def test_hidden_layers_of_the_head_have_the_width_asked_for():
    _, head = architectures.build_encoder_and_task_head(
        "small",
        image_size=SIZE,
        cut="late",
        code_channels=4,
        num_attributes=3,
        head=architectures.HeadSize(width=7, depth=2),
    )
    assert [head.get_layer(f"hidden{n}").units for n in (1, 2)] == [7, 7]
    assert head.output_shape == (None, 3)


CODE_SHAPES = [(32, 32, 3), (16, 16, 2), (8, 8, 4), (4, 4, 8), (2, 2, 5), (1, 1, 16), (7,)]


@pytest.mark.parametrize("code_shape", CODE_SHAPES)
def test_decoder_mirrors_the_code_to_an_image_in_zero_to_one(code_shape):
    code = 100 * np.random.default_rng(0).normal(size=(2, *code_shape)).astype(np.float32)
    reconstruction = np.asarray(decoder_of(code_shape)(code))
    assert reconstruction.shape == (2, SIZE, SIZE, 3)
    assert reconstruction.min() >= 0 and reconstruction.max() <= 1
    assert reconstruction.std() > 0.01


@pytest.mark.parametrize(("image_size", "side"), [(32, 4), (64, 4), (96, 3), (160, 5), (224, 7)])
def test_vector_is_decoded_to_every_size_that_is_a_multiple_of_32(image_size, side):
    decoder = decoder_of((5,), image_size=image_size)
    assert decoder.get_layer("grid").output.shape == (None, side, side, 16)
    assert decoder.output_shape == (None, image_size, image_size, 3)


def test_width_and_depth_change_the_number_of_parameters():
    sizes = [
        decoder_of((8, 8, 4), width=width, depth=depth).count_params()
        for width, depth in ((4, 0), (4, 1), (4, 2), (8, 2))
    ]
    assert sizes == sorted(set(sizes))
    # A block at 8 and one at 16 pixels, each of two 3x3 convolutions of its own channels.
    blocks = sum(2 * (9 * channels * channels + channels) for channels in (16, 8))
    assert sizes[1] - sizes[0] == sizes[2] - sizes[1] == blocks


def test_depth_alone_changes_nothing_at_the_start():
    decoder = decoder_of((8, 8, 4), depth=3)
    for layer in decoder.layers:
        if layer.name.endswith("_conv2"):
            assert not np.any(layer.kernel)


@pytest.mark.parametrize(
    "code_shape", [(5, 5, 4), (8, 4, 4), (64, 64, 3), (24, 24, 4), (8, 8), (2, 2, 2, 2)]
)
def test_code_that_no_doubling_makes_an_image_is_refused(code_shape):
    with pytest.raises(ValueError, match=r"can't be decoded to 32 x 32.*flatten"):
        decoder_of(code_shape)


def tflite_output(model, values):
    """What the model computes as TFLite, for one example."""
    content = tf.lite.TFLiteConverter.from_keras_model(model).convert()
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], values)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def assert_tflite_agrees(model, values):
    expected = np.asarray(model(values))
    assert expected.std() > 0.01
    atol = 1e-5 * max(1, np.abs(expected).max())
    np.testing.assert_allclose(tflite_output(model, values), expected, rtol=0, atol=atol)


@pytest.mark.parametrize(
    ("name", "cut"),
    [
        ("small", "middle"),
        pytest.param("mobilenet_v3_small", "late", marks=pytest.mark.slow),
        *(pytest.param(name, "late", marks=OF_RELEASES) for name in LARGER),
    ],
)
def test_tflite_encoder_and_head_compute_what_keras_does(name, cut):
    encoder, task_head = (randomise(part) for part in build.__wrapped__(name, cut, 6))
    image = np.random.default_rng(0).random((1, SIZE, SIZE, 3), np.float32)
    assert_tflite_agrees(encoder, image)
    assert_tflite_agrees(task_head, np.asarray(encoder(image)))


def test_tflite_decoder_computes_what_keras_does():
    code = np.random.default_rng(0).normal(size=(1, 4, 4, 6)).astype(np.float32)
    assert_tflite_agrees(randomise(decoder_of((4, 4, 6))), code)


@pytest.mark.parametrize("size", [96, 128, 224])
@pytest.mark.parametrize("name", BACKBONES)
def test_code_has_the_cuts_shape_at_the_sizes_of_photographs(name, size, monkeypatch):
    # Shapes alone: the backbone is built once, and nothing is computed.
    backbone = backbones.build_backbone(name, size)
    monkeypatch.setattr(architectures, "build_backbone", lambda *_, **__: backbone)
    for cut in backbones.CUT_LAYERS[name]:
        encoder, task_head = architectures.build_encoder_and_task_head(
            name, image_size=size, cut=cut, code_channels=6, num_attributes=NUM_ATTRIBUTES
        )
        grid = () if cut == "pooled" else (size // STRIDES[cut],) * 2
        assert encoder.input_shape == (None, size, size, 3)
        assert encoder.output_shape == (None, *grid, 6) == task_head.input_shape
        assert task_head.output_shape == (None, NUM_ATTRIBUTES)


@pytest.mark.parametrize("cut", ["middle", "pooled"])
def test_head_without_the_rest_is_linear_in_the_code_and_costs_next_to_nothing(cut):
    encoder, head = architectures.build_encoder_and_task_head(
        "small",
        image_size=SIZE,
        cut=cut,
        code_channels=4,
        num_attributes=NUM_ATTRIBUTES,
        head=architectures.HeadSize(rest=False),
    )
    values = int(np.prod(encoder.output_shape[1:]))
    assert head.count_params() == (values + 1) * NUM_ATTRIBUTES
    assert costs.multiply_adds(head) == values * NUM_ATTRIBUTES
    codes = np.random.default_rng(0).normal(size=(2, *encoder.output_shape[1:]))
    first, second, joined = (
        np.asarray(head(each)) for each in (codes[:1], codes[1:], codes[:1] + codes[1:])
    )
    zero = np.asarray(head(0 * codes[:1]))
    np.testing.assert_allclose(first + second - zero, joined, atol=1e-5)
