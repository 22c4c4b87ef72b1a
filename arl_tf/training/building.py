"""Builds the players that a training starts with: encoder, task head and their adversaries."""

import pathlib

import keras
import numpy as np

from arl_tf.defences import registry
from arl_tf.defences.definition import LAYER_PREFIX
from arl_tf.metrics.tasks.definition import Finish
from arl_tf.models import architectures, backbones, losses
from arl_tf.models.code_layers import NoisyCode, QuantisedCode
from arl_tf.models.precision import FLOAT32, with_precision
from arl_tf.models.pretrained.perceptual import perceptual_features
from arl_tf.training import checkpoints, replicas
from arl_tf.training.learner import AdversarialRepresentationLearner
from arl_tf.training.settings import TrainingSettings

BOUNDS = (NoisyCode, QuantisedCode)


def build_learner(
    settings: TrainingSettings,
    num_attributes: int,
    mean_image: np.ndarray,
    finish: Finish | None = None,
) -> AdversarialRepresentationLearner:
    """Builds the three players with weights drawn by the settings' seed, or those of a warm start.

    Args:
        settings: sizes of the players.
        num_attributes: of the task.
        mean_image: float32 [S, S, 3] in [0, 1], of the public images.
        finish: what this training's task head gets behind it at the end; None: not known, and a
            warm start's task head begins as it was trained.

    Raises:
        ValueError: as of `started_players`.
    """
    if settings.warm_start:
        encoder, task_head = started_players(settings, num_attributes, finish)
    else:
        encoder, task_head = new_players(settings, num_attributes, weights=settings.weights)
    encoder, task_head = (in_precision(settings, player) for player in (encoder, task_head))
    decoders = [build_decoder(settings, encoder, k) for k in range(settings.decoders)]
    task_decoder = build_task_decoder(settings, task_head)
    # Copied last: a copy draws initial weights, and those after it would be others on one device.
    encoder, task_head, *decoders = (
        replicas.on_replicas(player) for player in (encoder, task_head, *decoders)
    )
    return AdversarialRepresentationLearner(
        encoder,
        task_head,
        decoders[0],
        perceptual_features=perceptual_features(
            settings.perceptual, settings.image_size, settings.perceptual_layer_names
        ),
        mean_image=mean_image,
        more_decoders=decoders[1:],
        task_decoder=task_decoder and replicas.on_replicas(task_decoder),
    )


def in_precision(settings: TrainingSettings, player: keras.Model) -> keras.Model:
    """A player that computes as --precision says; its output is float32 in any case."""
    if settings.precision == FLOAT32:
        return player
    return with_precision(player, settings.precision)


def new_players(
    settings: TrainingSettings,
    num_attributes: int,
    *,
    weights: str = "",
    as_published: bool = False,
) -> tuple[keras.Model, keras.Model]:
    """An encoder and a task head; `weights` and `as_published` as of `build_backbone`."""
    keras.utils.set_random_seed(settings.seed)
    return architectures.build_encoder_and_task_head(
        settings.encoder,
        image_size=settings.image_size,
        cut=settings.cut,
        code_channels=settings.code_channels,
        num_attributes=num_attributes,
        bounds=architectures.CodeBounds(
            settings.code_noise,
            settings.lambda_rate > 0,
            settings.noise_shares,
            settings.code_levels,
            registry.layers_of(settings.defence_choice),
        ),
        weights=weights,
        as_published=as_published,
        head=architectures.HeadSize(
            settings.head_width,
            settings.head_depth,
            registry.shares_of(settings.defence_choice),
            settings.head_rest,
        ),
    )


def started_players(
    settings: TrainingSettings, num_attributes: int, finish: Finish | None = None
) -> tuple[keras.Model, keras.Model]:
    """An encoder and a task head with the weights of --warm_start's: all but the code's bounds.

    The encoder prepares images as the started one does. `--weights` are not loaded.

    Args:
        settings: sizes of the players.
        num_attributes: of the task.
        finish: as of `build_learner`.

    Raises:
        ValueError: --warm_start holds no trained players, players of another shape, or an encoder
            that prepares images in another way than --encoder and --weights do.
    """
    folder = pathlib.Path(settings.warm_start) / checkpoints.FOLDER
    encoder, task_head = new_players(settings, num_attributes)
    started = checkpoints.load_player(checkpoints.player_path(folder, "encoder"))
    wanted, plain = (backbones.preprocessing(each) for each in (started, encoder))
    if wanted != plain:
        encoder, task_head = new_players(settings, num_attributes, as_published=True)
        published = backbones.preprocessing(encoder)
        if wanted != published:
            raise ValueError(
                f"--warm_start={settings.warm_start} holds an encoder that prepares images by"
                f" {words(wanted)}; --encoder={settings.encoder} does so by {words(plain)}, and by"
                f" {words(published)} with --weights. Give the --encoder of that run."
            )
    elif settings.weights and backbones.has_published_form(settings.encoder):
        raise ValueError(
            f"--warm_start={settings.warm_start} holds an encoder that prepares images by"
            f" {words(wanted)}, as random weights want it; the published weights of"
            f" --weights={settings.weights} want another preparation, and a warm start replaces"
            " them. Leave --weights empty, or leave out --warm_start."
        )
    copy_weights(settings, started, encoder, "encoder")
    started = checkpoints.load_player(checkpoints.player_path(folder, "task_head"))
    copy_weights(settings, started, task_head, "task_head")
    if finish is not None:
        # The logits are the last layer, here and there.
        *others, kernel, bias = task_head.get_weights()
        logits = finish.started(kernel, bias, Finish.of_head(started))
        task_head.set_weights([*others, *logits])
    return encoder, task_head


def words(layers: list[str]) -> str:
    """An encoder's preprocessing, for messages."""
    return ", ".join(layers) or "nothing"


def copy_weights(
    settings: TrainingSettings, started: keras.Model, player: keras.Model, name: str
) -> None:
    """Gives a player the weights of a started one, but for those of the code's bounds.

    Raises:
        ValueError: they have other shapes.
    """
    own = sum(len(layer.weights) for layer in player.layers if is_bound(layer))
    given = sum(len(layer.weights) for layer in started.layers if is_bound(layer))
    kept = player.get_weights()[len(player.weights) - own :] if own else []
    weights = started.get_weights()[: len(started.weights) - given] + kept
    shapes = [weight.shape for weight in weights]
    if shapes != [weight.shape for weight in player.get_weights()]:
        raise ValueError(
            f"--warm_start={settings.warm_start} holds a {name} of another shape than"
            f" --encoder={settings.encoder} --cut={settings.cut}"
            f" --code_channels={settings.code_channels} with these attributes."
        )
    player.set_weights(weights)


def is_bound(layer: keras.Layer) -> bool:
    """Whether a layer of an encoder bounds its code, or is a defence's own."""
    return isinstance(layer, BOUNDS) or layer.name.startswith(LAYER_PREFIX)


def build_decoder(settings: TrainingSettings, encoder: keras.Model, number: int = 0) -> keras.Model:
    """A training adversary, with new weights; the first is of the size that is set.

    Others are narrower and deeper, wider and shallower, in turn.
    """
    width, depth = ((1.0, 0), (0.5, 1), (1.5, -1))[number % 3]
    decoder = architectures.build_decoder(
        encoder.output_shape[1:],
        image_size=settings.image_size,
        width=round(settings.decoder_width * width),
        depth=max(0, settings.decoder_depth + depth),
        name=f"decoder{number}" if number else "decoder",
    )
    return in_precision(settings, decoder)


def build_task_decoder(settings: TrainingSettings, task_head: keras.Model) -> keras.Model | None:
    """A decoder of the task output alone; None where no objective needs it."""
    if settings.defence not in registry.METHOD or settings.objective != losses.TOWARD_TASK:
        return None
    decoder = architectures.build_decoder(
        task_head.output_shape[1:],
        image_size=settings.image_size,
        width=settings.decoder_width,
        depth=settings.decoder_depth,
        name="task_decoder",
    )
    return in_precision(settings, decoder)


def restarted_decoder(
    settings: TrainingSettings, encoder: keras.Model, epoch: int, number: int
) -> keras.Model:
    """New weights of adversary `number`, which depend on seed and epoch alone.

    So a resumed run restarts with the same ones.
    """
    keras.utils.set_random_seed((settings.seed + 7919 * (epoch + 1)) % 2**32)
    return build_decoder(settings, encoder, number)


def mean_image(images: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Mean of the chosen rows of uint8 images [N, S, S, 3]; float32 [S, S, 3] in [0, 1]."""
    total = np.zeros(images.shape[1:], np.float64)
    for start in range(0, len(rows), 256):
        total += images[rows[start : start + 256]].sum(axis=0, dtype=np.float64)
    return (total / len(rows) / 255.0).astype(np.float32)
