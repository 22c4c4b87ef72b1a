"""Encoders and heads that settings name as files, as subjects of an audit."""

import pathlib

import numpy as np

from arl_tf.auditing.channel import Channel
from arl_tf.auditing.encoders import audited, external, tflite_encoder
from arl_tf.auditing.encoders.audited import Subject
from arl_tf.config.settings import Config
from arl_tf.data.image_sets import ImageSet


def foreign_subject(config: Config, images: ImageSet, channel: Channel) -> Subject:
    """The encoder of --encoder_tflite or --encoder_saved_model, with its task head if named."""
    encoder, words = foreign_encoder(config)
    flag = "encoder_tflite" if config.encoder_tflite else "encoder_saved_model"
    if encoder.image_size != config.image_size:
        raise ValueError(
            f"--{flag}={getattr(config, flag)} takes images of {encoder.image_size} pixels,"
            f" --image_size is {config.image_size}; set --image_size={encoder.image_size}."
        )
    head = None
    if config.task_head_saved_model:
        head = foreign_task_head(config, encoder, images)
    return audited.foreign_subject(encoder, head, channel=channel, words=words)


def foreign_encoder(config: Config) -> tuple[external.ForeignEncoder, str]:
    """An encoder that arl_tf has only as a file, and what the report calls it."""
    float_form = None
    if config.encoder_saved_model:
        float_form = external.load_saved_model(
            config.encoder_saved_model, image_size=config.image_size
        )
        words = f"SavedModel {pathlib.Path(config.encoder_saved_model).name}"
    if not config.encoder_tflite:
        return float_form, words
    name = f"TFLite file {pathlib.Path(config.encoder_tflite).name}"
    if float_form is None:
        return tflite_encoder.load_tflite(config.encoder_tflite), f"{name}, black-box only"
    return (
        tflite_encoder.load_tflite(config.encoder_tflite, float_form),
        f"{name}, white-box attacks by the gradients of its float form, {words}",
    )


def foreign_task_head(
    config: Config, encoder: external.ForeignEncoder, images: ImageSet
) -> audited.Encode:
    """The task head of --task_head_saved_model: codes -> logits of the data set's attributes."""
    loaded = external.load_task_head(config.task_head_saved_model)
    num_logits = loaded.classify(encoder.encode(np.asarray(images.images[:1]))).shape[1]
    if num_logits != len(images.attribute_names):
        raise ValueError(
            f"--task_head_saved_model={config.task_head_saved_model} gives {num_logits} logits,"
            f" the data set has {len(images.attribute_names)} attributes; name the task's with"
            " --task_attributes."
        )
    return loaded.classify
