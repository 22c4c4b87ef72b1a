"""Gradients through a loaded SavedModel whose signature takes uint8 images: for white-box attacks.

A cast from uint8 ends every gradient. The signature's graph is therefore frozen (variables become
constants) and retyped: the image enters as floats of the same range, and whatever moves or casts it
on its way is told so. Nothing of what the graph computes changes, but that noise of mean 0 becomes
that mean: what a code is on average is what an attacker follows.
"""

import collections
from collections.abc import Callable

import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from arl_tf.auditing.encoders.saved_model_io import Signature

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


class NotDifferentiableError(ValueError):
    """There is no way to the gradients; the message says why."""


def differentiable_signature(
    signature: Signature, image_size: int, random_codes: bool = False
) -> Callable[[tf.Tensor], tf.Tensor]:
    """The signature as a function whose gradients flow to the image.

    Args:
        signature: its input is uint8 [N, S, S, 3]; N may be a number.
        image_size: S, pixels.
        random_codes: whether it gives an image another code each time.

    Returns:
        image float32 [B, S, S, 3] in [0, 1] -> float32 [B, ...]. Values between the 256 levels are
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
    graph_def = without_noise(retyped(frozen.graph.as_graph_def(), placeholder.op.name))
    fixed = signature.shape[0]

    def run(images: tf.Tensor) -> tf.Tensor:
        (result,) = tf.graph_util.import_graph_def(
            graph_def,
            input_map={placeholder.name: images * 255.0},
            return_elements=[output.name],
            name="signature",
        )
        return tf.cast(result, tf.float32)

    @tf.function(
        autograph=False,
        input_signature=[tf.TensorSpec((None, image_size, image_size, 3), tf.float32)],
    )
    def differentiable(image):
        return run(image) if fixed is None else in_groups(run, image, fixed)

    check_agreement(differentiable, signature, image_size, random_codes)
    check_gradient(differentiable, image_size)
    return differentiable


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
    differentiable: Callable[[tf.Tensor], tf.Tensor],
    signature: Signature,
    image_size: int,
    random_codes: bool,
) -> None:
    """Raises NotDifferentiableError where both forms give other codes of the same images.

    The differentiable one: image float32 [B, S, S, 3] in [0, 1] -> float32 [B, ...].
    """
    images = random_images(CHECKED_IMAGES, image_size)
    try:
        found = differentiable(tf.constant(images, tf.float32) / 255.0).numpy()
    except (ValueError, TypeError, tf.errors.OpError) as error:
        raise NotDifferentiableError(f"its retyped graph doesn't run: {error}") from error
    if random_codes:
        check_mean(found, np.stack([signature(images) for _ in range(CODES_OF_A_MEAN)]))
        return
    expected = signature(images)
    error, deviation = np.abs(found - expected).max(), expected.std()
    # Written so that NaN fails.
    if not error <= AGREEMENT * deviation + np.finfo(np.float32).tiny:
        raise NotDifferentiableError(
            f"its retyped graph gives other codes: they differ by up to {error:.3g} where codes"
            f" have a deviation of {deviation:.3g}, on random images"
        )


def check_mean(found: np.ndarray, codes: np.ndarray) -> None:
    """Raises NotDifferentiableError unless codes [B, ...] are the mean of random ones [n, B, ...].

    All in root mean squares over the values.
    """
    error = np.sqrt(np.square(found - codes.mean(axis=0)).mean())
    standard_error = np.sqrt(codes.var(axis=0, ddof=1).mean() / len(codes))
    if not error <= MEAN_ERRORS * standard_error:
        raise NotDifferentiableError(
            "its codes are random in a way that is not known here: without noise its graph gives"
            f" codes that differ from the mean of {len(codes)} by {error:.3g}, expected at most"
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
        raise NotDifferentiableError(
            "the gradient of its code is zero: it is rounded on the way, or constant"
        )
    if not np.all(np.isfinite(gradient)):
        raise NotDifferentiableError("the gradient of its code is not finite")
