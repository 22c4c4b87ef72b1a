"""Encoders and heads that settings name as files, as audited encoders."""

import dataclasses
import pathlib
import types

import numpy as np

from arl_tf.auditing.channel import Channel
from arl_tf.auditing.encoders import audited, external, tflite_encoder
from arl_tf.auditing.encoders.audited import AuditedEncoder
from arl_tf.auditing.encoders.confined import encoders as confined
from arl_tf.data.image_sets import ImageSet


@dataclasses.dataclass(frozen=True)
class EncoderFiles:
    """Which files hold the encoder under audit; settings of `Config` by name."""

    encoder_saved_model: str
    encoder_tflite: str
    task_head_saved_model: str
    image_size: int
    trust_encoder: bool

    @property
    def loading(self) -> types.ModuleType:
        """What loads SavedModels: in a process of its own those of others, here the run's own."""
        return confined if self.trust_encoder else external


def external_audited_encoder(
    named: EncoderFiles, images: ImageSet, channel: Channel
) -> AuditedEncoder:
    """The encoder of --encoder_tflite or --encoder_saved_model, with its task head if named."""
    encoder, words = external_encoder(named)
    flag = "encoder_tflite" if named.encoder_tflite else "encoder_saved_model"
    if encoder.image_size != named.image_size:
        raise ValueError(
            f"--{flag}={getattr(named, flag)} takes images of {encoder.image_size} pixels,"
            f" --image_size is {named.image_size}; set --image_size={encoder.image_size}."
        )
    head = None
    if named.task_head_saved_model:
        head = external_task_head(named, encoder, images)
    return audited.external_audited_encoder(encoder, head, channel=channel, words=words)


def external_encoder(named: EncoderFiles) -> tuple[external.ExternalEncoder, str]:
    """An encoder that arl_tf has only as a file, and what the report calls it."""
    float_form = None
    if named.encoder_saved_model:
        float_form = named.loading.load_saved_model(
            named.encoder_saved_model, image_size=named.image_size
        )
        words = f"SavedModel {pathlib.Path(named.encoder_saved_model).name}"
    if not named.encoder_tflite:
        return float_form, words
    name = f"TFLite file {pathlib.Path(named.encoder_tflite).name}"
    if float_form is None:
        return tflite_encoder.load_tflite(named.encoder_tflite), f"{name}, black-box only"
    return (
        tflite_encoder.load_tflite(named.encoder_tflite, float_form),
        f"{name}, white-box attacks by the gradients of its float form, {words}",
    )


def external_task_head(
    named: EncoderFiles, encoder: external.ExternalEncoder, images: ImageSet
) -> audited.Encode:
    """The task head of --task_head_saved_model: codes -> logits of the data set's attributes."""
    loaded = named.loading.load_task_head(named.task_head_saved_model)
    num_logits = loaded.classify(encoder.encode(np.asarray(images.images[:1]))).shape[1]
    if num_logits != len(images.attribute_names):
        raise ValueError(
            f"--task_head_saved_model={named.task_head_saved_model} gives {num_logits} logits,"
            f" the data set has {len(images.attribute_names)} attributes; name the task's with"
            " --task_attributes."
        )
    return loaded.classify
