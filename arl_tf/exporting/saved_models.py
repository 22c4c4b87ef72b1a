"""Writes encoder, task head and attackers as SavedModels; saved_model_checks compares them."""

import json
import math
import pathlib
from collections.abc import Sequence

import keras
import tensorflow as tf

from arl_tf.data import image_sets, preprocessing
from arl_tf.data.pictures import decoding
from arl_tf.metrics.tasks.definition import Task, TaskDecisions
from arl_tf.metrics.tasks.multi_label import MultiLabel
from arl_tf.models import code_layers
from arl_tf.models.fingerprint import weights_hash

# A signature with this name and the encoder's hash behind it says which encoder a model is, or
# reads codes of: TF Serving's metadata lists signatures, and passes on nothing else of a model.
ENCODER_MARK = "encoder_sha256_"


def save_encoder(
    encoder: keras.Model, image_size: int, path: pathlib.Path, fit: str = preprocessing.CROP
) -> None:
    """Writes the encoder's SavedModel.

    `serving_default` (= `encode`): `image` uint8 [N, S, S, 3] -> `code` float32 [N, ...].
    `encode_bytes`: `image_bytes` string [N], JPEG, PNG, BMP, GIF or WebP files -> `code`.
    `encode_to_bytes`: the same -> `code_bytes` string [N], as `code_to_bytes` gives them: on REST,
    which writes bytes in base64, half as long as decimal numbers and far faster to write and read.
    ENCODER_MARK with the encoder's hash: the same as `encode`.

    `fit` says how pictures become square, as --fit of the training does.

    The module holds the variables and not the Keras model, which would store every weight twice.
    """
    code_layers.make_unpredictable(encoder)
    module = tf.Module(name="encoder")
    module.model_variables = [variable.value for variable in encoder.variables]
    image_shape = (image_size, image_size, 3)
    prepare = preprocessing.preprocessing(image_size, fit)

    @tf.function(
        autograph=False,
        input_signature=[tf.TensorSpec((None, *image_shape), tf.uint8, name="image")],
    )
    def encode(image):
        return {"code": encoder(image_sets.to_float(image), training=False)}

    @tf.function(
        autograph=False, input_signature=[tf.TensorSpec((None,), tf.string, name="image_bytes")]
    )
    def encode_bytes(image_bytes):
        image = tf.map_fn(
            lambda one: prepare(decoding.decode_image(one)),
            image_bytes,
            fn_output_signature=tf.TensorSpec(image_shape, tf.uint8),
        )
        return encode(image)

    @tf.function(
        autograph=False, input_signature=[tf.TensorSpec((None,), tf.string, name="image_bytes")]
    )
    def encode_to_bytes(image_bytes):
        return {"code_bytes": code_to_bytes(encode_bytes(image_bytes)["code"])}

    module.encode, module.encode_bytes = encode, encode_bytes
    module.encode_to_bytes = encode_to_bytes
    signatures = {
        "serving_default": encode,
        "encode": encode,
        "encode_bytes": encode_bytes,
        "encode_to_bytes": encode_to_bytes,
        f"{ENCODER_MARK}{weights_hash(encoder)}": encode,
    }
    tf.saved_model.save(module, str(path), signatures=signatures)


def code_to_bytes(code: tf.Tensor) -> tf.Tensor:
    """The values of each code as float32 in little-endian order, row-major.

    Args:
        code: float32 [N, ...], all sides but the first known.

    Returns:
        string [N].
    """
    num_bytes = code.dtype.size * math.prod(code.shape[1:])
    # TensorFlow has no inverse of decode_raw. A serialised TensorProto ends with its content.
    protos = tf.map_fn(
        tf.io.serialize_tensor, code, fn_output_signature=tf.TensorSpec((), tf.string)
    )
    starts = tf.strings.length(protos) - num_bytes
    return tf.strings.substr(protos, starts, tf.fill(tf.shape(starts), num_bytes))


def bytes_to_code(code_bytes: tf.Tensor, code_shape: tuple[int, ...]) -> tf.Tensor:
    """The inverse of `code_to_bytes`: float32 [N, *code_shape].

    Running it raises tf.errors.InvalidArgumentError for strings of another length, NaN and inf.
    """
    size = math.prod(code_shape)
    fits = tf.debugging.assert_equal(
        tf.strings.length(code_bytes),
        tf.float32.size * size,
        message=f"code_bytes must hold float32 {list(code_shape)}, {tf.float32.size * size} bytes.",
    )
    with tf.control_dependencies([fits]):
        values = tf.io.decode_raw(code_bytes, tf.float32)
    code = tf.reshape(tf.ensure_shape(values, (None, size)), (-1, *code_shape))
    return tf.debugging.check_numerics(code, "code_bytes must hold finite values.")


def save_task_head(
    task_head: keras.Model,
    code_shape: tuple[int, ...],
    attribute_names: Sequence[str],
    path: pathlib.Path,
    *,
    task: Task | None = None,
    decisions: TaskDecisions | None = None,
    encoder_sha256: str = "",
) -> None:
    """Writes the task head's SavedModel.

    Its asset attributes.txt has a name of an attribute, class or target a line; decisions.json has
    what decides (`as_json`), of several attributes thresholds and a temperature; None: of none.
    `task` None: several attributes, each {0, 1}.

    `serving_default`: `code` float32 [N, *code_shape] -> `logits`, `probability` float32 [N, A],
    `decision` bool [N, A]; of a regression `value` float32 [N, A].
    `read_bytes`: `code_bytes` string [N], as `code_to_bytes` gives them -> the same.
    ENCODER_MARK with `encoder_sha256`, where that is given: the same as `serving_default`; by it
    clients see whose codes the task head reads.
    """
    module = tf.Module(name="task_head")
    module.model_variables = [variable.value for variable in task_head.variables]
    task = task or MultiLabel()
    decisions = decisions or task.undecided(len(attribute_names))

    @tf.function(
        autograph=False,
        input_signature=[tf.TensorSpec((None, *code_shape), tf.float32, name="code")],
    )
    def classify(code):
        return task.serve(task_head(code, training=False), decisions)

    @tf.function(
        autograph=False, input_signature=[tf.TensorSpec((None,), tf.string, name="code_bytes")]
    )
    def read_bytes(code_bytes):
        return classify(bytes_to_code(code_bytes, code_shape))

    module.classify, module.read_bytes = classify, read_bytes
    assets = {
        "attributes.txt": "".join(f"{name}\n" for name in attribute_names),
        "decisions.json": json.dumps(decisions.as_json(attribute_names), indent=2) + "\n",
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    for name, text in assets.items():
        (path.parent / name).write_text(text, encoding="utf-8")
    module.attributes, module.decisions = (
        tf.saved_model.Asset(str(path.parent / name)) for name in assets
    )
    signatures = {"serving_default": classify, "read_bytes": read_bytes}
    if encoder_sha256:
        signatures[f"{ENCODER_MARK}{encoder_sha256}"] = classify
    tf.saved_model.save(module, str(path), signatures=signatures)
    # The SavedModel has its own copies.
    for name in assets:
        (path.parent / name).unlink()


def save_attacker(attacker: keras.Model, path: pathlib.Path) -> None:
    """Writes an attacker's SavedModel: `code` float32 [N, ...] -> `reconstruction` [N, S, S, 3]."""
    module = tf.Module(name="attacker")
    module.model_variables = [variable.value for variable in attacker.variables]

    @tf.function(
        autograph=False,
        input_signature=[tf.TensorSpec(attacker.input_shape, tf.float32, name="code")],
    )
    def attack(code):
        return {"reconstruction": attacker(code, training=False)}

    module.attack = attack
    tf.saved_model.save(module, str(path), signatures={"serving_default": attack})
