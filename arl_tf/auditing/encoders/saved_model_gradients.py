"""Gradients through a loaded SavedModel whose signature takes uint8 images: for white-box attacks.

A cast from uint8 ends every gradient. The signature's graph is therefore frozen (variables become
constants) and retyped: the image enters as floats of the same range, and whatever moves or casts it
on its way is told so. Nothing of what the graph computes changes, but that noise of mean 0 becomes
that mean: what a code is on average is what an attacker follows. Where noise is of another kind,
that average is taken of several codes, each with its noise.
"""

import collections
import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from arl_tf.auditing.encoders.saved_model_io import Signature
from arl_tf.auditing.encoders.straight_through import ends_words, straight_through

# Operations through which an image may pass before it is cast, and the attribute that holds its
# type. Those of MOVES hand the type on; those of READS end it.
MOVES = {
    "Identity": "T",
    "Reshape": "T",
    "Squeeze": "T",
    "ExpandDims": "T",
    "Transpose": "T",
    "ReverseV2": "T",
    "Slice": "T",
    "StridedSlice": "T",
    "Pad": "T",
    "MirrorPad": "T",
    "Tile": "T",
    "GatherV2": "Tparams",
    "ResizeNearestNeighbor": "T",
}
READS = {
    "Cast": "SrcT",
    "Shape": "T",
    "Size": "T",
    "Rank": "T",
    "ResizeBilinear": "T",
    "ResizeBicubic": "T",
    "ResizeArea": "T",
    "ScaleAndTranslate": "T",
}
# Operations that draw noise of mean 0; their first input is its shape.
NOISE = ("RandomStandardNormal", "TruncatedNormal", "StatelessRandomNormalV2")
# In deviations of the code: x / 255 * 255 alone is off by 1e-7, but networks amplify it.
AGREEMENT = 1e-3
CHECKED_IMAGES = 4
# Random codes of an image, from whose mean the code without noise may be so many standard errors
# away: 1 is expected.
CODES_OF_A_MEAN, MEAN_ERRORS = 64, 1.5
# Where noise can't be left out: codes whose mean stands for the code on average, and draws whose
# mean gradient is followed. A search takes many steps, so few will do.
MEAN_DRAWS, GRADIENT_DRAWS = 16, 4
Run = Callable[[tf.Tensor], tf.Tensor]


class NotDifferentiableError(ValueError):
    """There is no way to the gradients; the message says why."""


class ZeroGradientError(NotDifferentiableError):
    """The gradients are zero."""


@dataclasses.dataclass(frozen=True)
class DifferentiableForm:
    """A signature as a function whose gradients flow to the image.

    Attributes:
        run: image float32 [B, S, S, 3] in [0, 1] -> code float32 [B, ...], on average.
        draws: of so many random codes `run` gives the mean, of new ones each time; 0: it is exact.
        straight_through: whether gradients pass rounding as if it were not there.
    """

    run: Run
    draws: int = 0
    straight_through: bool = False

    def __call__(self, image: tf.Tensor) -> tf.Tensor:
        """Image float32 [B, S, S, 3] in [0, 1] -> code float32 [B, ...]."""
        return self.run(image)


def differentiable_signature(
    signature: Signature, image_size: int, random_codes: bool = False
) -> DifferentiableForm:
    """The signature as a function whose gradients flow to the image.

    Where codes are random it gives what they are on average: without their noise if that is this
    average, else the mean of several. Where gradients are zero they pass rounding.

    Args:
        signature: its input is uint8 [N, S, S, 3]; N may be a number.
        image_size: S, pixels.
        random_codes: whether it gives an image another code each time.

    Returns:
        Image float32 [B, S, S, 3] in [0, 1] -> float32 [B, ...]. Values between the 256 levels are
        taken as they are. It has been compared with the signature on random images; where codes
        are random, with the mean of many of each.

    Raises:
        NotDifferentiableError: the graph treats uint8 images in a way that is not known here, its
            outputs differ from the signature's, or its gradients are zero or not finite.
    """
    try:
        frozen = convert_variables_to_constants_v2(signature.function, lower_control_flow=False)
    except (ValueError, TypeError, KeyError, NotImplementedError, tf.errors.OpError) as error:
        raise NotDifferentiableError(f"its variables can't be frozen: {error}") from error
    placeholder = next(tensor for tensor in frozen.inputs if tensor.dtype == tf.uint8)
    outputs = sorted(signature.function.structured_outputs)
    output = frozen.outputs[outputs.index(signature.output_name)]
    with_noise = retyped(frozen.graph.as_graph_def(), placeholder.op.name)
    silent = tf.compat.v1.GraphDef()
    silent.CopyFrom(with_noise)
    silent = without_noise(silent)

    def form_of(graph_def: tf.compat.v1.GraphDef, draws: int) -> DifferentiableForm:
        run = imported(graph_def, placeholder.name, output.name, signature.shape[0])
        return checked_form(
            DifferentiableForm(compiled(run, image_size, draws), draws),
            signature,
            image_size,
            random_codes,
        )

    if not random_codes:
        return through_rounding(form_of, silent, 0)
    try:
        return through_rounding(form_of, silent, 0)
    except ZeroGradientError:
        raise
    except NotDifferentiableError:
        # Noise inside the network, or behind which something is done: its mean does not replace it.
        return through_rounding(form_of, with_noise, MEAN_DRAWS)


def through_rounding(
    form_of: Callable[[tf.compat.v1.GraphDef, int], DifferentiableForm],
    graph_def: tf.compat.v1.GraphDef,
    draws: int,
) -> DifferentiableForm:
    """The form of a graph; where its gradients are zero, that whose gradients pass rounding."""
    try:
        return form_of(graph_def, draws)
    except ZeroGradientError as error:
        passing, count = straight_through(graph_def)
        if not count:
            raise ZeroGradientError(f"{error}{ends_words(graph_def)}") from error
    try:
        return dataclasses.replace(form_of(passing, draws), straight_through=True)
    except ZeroGradientError as error:
        words = ends_words(graph_def)
        raise ZeroGradientError(f"{error}, also past its rounding{words}") from error


def imported(
    graph_def: tf.compat.v1.GraphDef, image_name: str, output_name: str, fixed: int | None
) -> Run:
    """A graph as a function: image float32 [B, S, S, 3] in [0, 1] -> code float32 [B, ...].

    `fixed` is the number of images that it takes at a time, None for any.
    """

    def run(images: tf.Tensor) -> tf.Tensor:
        (result,) = tf.graph_util.import_graph_def(
            graph_def,
            input_map={image_name: images * 255.0},
            return_elements=[output_name],
            name="signature",
        )
        return tf.cast(result, tf.float32)

    return run if fixed is None else lambda image: in_groups(run, image, fixed)


def compiled(run: Run, image_size: int, draws: int) -> Run:
    """`run`, image float32 [B, S, S, 3] -> code float32 [B, ...], or the mean of so many draws."""
    signature = [tf.TensorSpec((None, image_size, image_size, 3), tf.float32)]
    once = tf.function(run, autograph=False, input_signature=signature)
    if not draws:
        return once
    return tf.function(mean_of_draws(once, draws), autograph=False, input_signature=signature)


def mean_of_draws(once: Run, draws: int) -> Run:
    """The mean of several random codes, and the mean gradient of GRADIENT_DRAWS others.

    Draws follow each other in a loop: one after the other they differ also where the graph's seed
    is set, and the noise of a batch is that of one draw where all its rows share it. No draw's
    inner values are kept for the gradient, which has draws of its own: as both are independent, the
    gradient of a squared distance is right on average.

    `once`: image float32 [B, S, S, 3] in [0, 1] -> code float32 [B, ...].
    """

    @tf.custom_gradient
    def mean(image: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        codes = tf.map_fn(lambda _: once(image), tf.range(draws), fn_output_signature=tf.float32)

        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            def add(total: tf.Tensor, _: tf.Tensor) -> tf.Tensor:
                with tf.GradientTape() as tape:
                    tape.watch(image)
                    code = once(image)
                found = tape.gradient(
                    code, image, upstream, unconnected_gradients=tf.UnconnectedGradients.ZERO
                )
                return total + found

            total = tf.foldl(add, tf.range(GRADIENT_DRAWS), initializer=tf.zeros_like(image))
            return total / GRADIENT_DRAWS

        return tf.reduce_mean(codes, axis=0), gradient

    return mean


def checked_form(
    form: DifferentiableForm, signature: Signature, image_size: int, random_codes: bool
) -> DifferentiableForm:
    """The form, which gives the signature's codes and has gradients.

    Raises:
        NotDifferentiableError: it does not.
    """
    check_agreement(form, signature, image_size, random_codes)
    check_gradient(form, image_size)
    return form


def retyped(graph_def: tf.compat.v1.GraphDef, image_name: str) -> tf.compat.v1.GraphDef:
    """Gives the image float32 values instead of uint8 ones, up to where the graph casts them."""
    nodes = {node.name: node for node in graph_def.node}
    readers = collections.defaultdict(list)
    for node in graph_def.node:
        for source in node.input:
            if not source.startswith("^"):
                readers[source.split(":")[0]].append(node)
    nodes[image_name].attr["dtype"].type = tf.float32.as_datatype_enum
    reached = [image_name]
    while reached:
        for node in readers[reached.pop()]:
            kind = MOVES.get(node.op) or READS.get(node.op)
            if kind is None:
                raise NotDifferentiableError(
                    f"its graph feeds uint8 images to {node.op} ({node.name}); expected a cast to"
                    " floats first"
                )
            node.attr[kind].type = tf.float32.as_datatype_enum
            if node.op in MOVES:
                reached.append(node.name)
    return graph_def


def without_noise(graph_def: tf.compat.v1.GraphDef) -> tf.compat.v1.GraphDef:
    """Has zeros in place of the noise that the graph draws."""
    for node in [node for node in graph_def.node if node.op in NOISE]:
        shape, dtype = node.input[0], node.attr["dtype"]
        # Stateless noise takes the shape's type from another attribute.
        index_type = node.attr["Tshape" if "Tshape" in node.attr else "T"]
        zero = graph_def.node.add(name=f"{node.name}/zero", op="Const")
        zero.attr["dtype"].CopyFrom(dtype)
        zero.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(0, dtype.type))
        zeros = tf.compat.v1.NodeDef(name=node.name, op="Fill", input=[shape, zero.name])
        zeros.attr["T"].CopyFrom(dtype)
        zeros.attr["index_type"].CopyFrom(index_type)
        node.CopyFrom(zeros)
    return graph_def


def in_groups(run: Callable[[tf.Tensor], tf.Tensor], images: tf.Tensor, group: int) -> tf.Tensor:
    """Runs what takes just `group` images at a time over any number; the last group is padded.

    Images float32 [n, S, S, 3] -> float32 [n, ...].
    """
    count = tf.shape(images)[0]
    padded = tf.pad(images, [[0, -count % group], [0, 0], [0, 0], [0, 0]])
    groups = tf.reshape(padded, (-1, group, *images.shape[1:]))
    results = tf.map_fn(run, groups, fn_output_signature=tf.float32)
    return tf.reshape(results, tf.concat([[-1], tf.shape(results)[2:]], 0))[:count]


def random_images(count: int, image_size: int) -> np.ndarray:
    """Smooth patches under noise, uint8 [count, S, S, 3], always the same."""
    rng = np.random.default_rng(0)
    coarse = rng.uniform(0, 255, (count, 4, 4, 3)).astype(np.float32)
    smooth = tf.image.resize(coarse, (image_size, image_size)).numpy()
    return np.clip(smooth + rng.normal(0, 10, smooth.shape), 0, 255).astype(np.uint8)


def check_agreement(
    differentiable: DifferentiableForm,
    signature: Signature,
    image_size: int,
    random_codes: bool,
) -> None:
    """Raises NotDifferentiableError where both forms give other codes of the same images.

    The differentiable one: image float32 [B, S, S, 3] in [0, 1] -> float32 [B, ...].
    """
    images = random_images(CHECKED_IMAGES, image_size)
    means = max(1, CODES_OF_A_MEAN // differentiable.draws) if differentiable.draws else 1
    try:
        image = tf.constant(images, tf.float32) / 255.0
        found = np.mean([differentiable(image).numpy() for _ in range(means)], axis=0)
    except (ValueError, TypeError, tf.errors.OpError) as error:
        raise NotDifferentiableError(f"its retyped graph doesn't run: {error}") from error
    if random_codes:
        codes = np.stack([signature(images) for _ in range(CODES_OF_A_MEAN)])
        check_mean(found, codes, means * differentiable.draws)
        return
    expected = signature(images)
    error, deviation = np.abs(found - expected).max(), expected.std()
    # Written so that NaN fails.
    if not error <= AGREEMENT * deviation + np.finfo(np.float32).tiny:
        raise NotDifferentiableError(
            f"its retyped graph gives other codes: they differ by up to {error:.3g} where codes"
            f" have a deviation of {deviation:.3g}, on random images"
        )


def check_mean(found: np.ndarray, codes: np.ndarray, draws: int = 0) -> None:
    """Raises NotDifferentiableError unless codes [B, ...] are the mean of random ones [n, B, ...].

    All in root mean squares over the values. `found` is itself the mean of so many draws, or exact.
    """
    error = np.sqrt(np.square(found - codes.mean(axis=0)).mean())
    parts = 1 / len(codes) + (1 / draws if draws else 0.0)
    standard_error = np.sqrt(codes.var(axis=0, ddof=1).mean() * parts)
    if not error <= MEAN_ERRORS * standard_error:
        raise NotDifferentiableError(
            "its codes are random in a way that is not known here: what its graph gives on average"
            f" differs from the mean of {len(codes)} codes by {error:.3g}, expected at most"
            f" {MEAN_ERRORS:g} times that mean's standard error of {standard_error:.3g}"
        )


def check_gradient(differentiable: Callable[[tf.Tensor], tf.Tensor], image_size: int) -> None:
    """Raises NotDifferentiableError where no attack could follow the gradients.

    They are of `differentiable`: image float32 [B, S, S, 3] in [0, 1] -> float32 [B, ...].
    """
    image = tf.constant(random_images(CHECKED_IMAGES, image_size), tf.float32) / 255.0
    try:
        with tf.GradientTape() as tape:
            tape.watch(image)
            code = differentiable(image)
            # Of random weights: a sum over a normalised code would not depend on the image.
            weights = np.random.default_rng(1).normal(size=code.shape)
            total = tf.reduce_sum(code * weights.astype(np.float32))
        gradient = tape.gradient(total, image)
    except (LookupError, ValueError, TypeError, tf.errors.OpError) as error:
        raise NotDifferentiableError(f"its graph has no gradient: {error}") from error
    if gradient is None or not np.any(gradient):
        raise ZeroGradientError(
            "the gradient of its code is zero: it is rounded on the way, or constant"
        )
    if not np.all(np.isfinite(gradient)):
        raise NotDifferentiableError("the gradient of its code is not finite")
