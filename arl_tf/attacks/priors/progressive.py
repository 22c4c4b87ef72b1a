"""White-box inversion that goes through a generator block by block.

After "Revisiting the Privacy Risks of Split Inference" (Qiu et al. 2025, arXiv 2508.20613): once
the latents are found, the features behind each of the generator's blocks are changed in turn, from
the coarse to the fine, within an L1 ball around what the search had reached. Where ours differs:
the generator is that of `generative`, trained as an autoencoder, not as a GAN; the radii are chosen
on held-out public images.

Cost: that of `generative_prior`, and a search of ITERATIONS steps, each of which takes the gradient
of encoder and generator, for each of the log2(S / 4) blocks and each image; for CHOOSING_IMAGES
held-out images a search for each of RADII.
"""

import dataclasses
import time
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from arl_tf.attacks import code_search
from arl_tf.attacks.closed_form import sample_rows
from arl_tf.attacks.code_search import CHOOSING_IMAGES, Advance, Choice, Search
from arl_tf.attacks.evidence import WHITE_BOX, AttackerOptions, AttackResult, Evidence
from arl_tf.attacks.objectives import Loss, held_out_loss, reconstruction_loss
from arl_tf.attacks.priors.generative import expected_coefficients, latent_search
from arl_tf.attacks.priors.generator import FaceGenerator, train_generator
from arl_tf.attacks.priors.l1_ball import into_l1_ball

ITERATIONS, RATE = 10, 0.05
# Of the ball: the mean change of a value of the features, in units of their deviation.
RADII = (0.05, 0.15, 0.5)
LEAST = 1e-6

Enter = Callable[[np.ndarray], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Stage:
    """A part of the search, as it was chosen.

    Attributes:
        name: of what is varied.
        enter: where the stage before has arrived -> unknowns that this one starts from.
        search: what is varied.
        advance: steps of that search.
        choice: how far it goes.
        radius: of the L1 ball, as RADII; 0: there is none.
    """

    name: str
    enter: Enter
    search: Search
    advance: Advance
    choice: Choice
    radius: float = 0.0

    def arrive(self, before: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """Unknowns that match codes [N, ...], from where the stage before has arrived."""
        return code_search.arrived(
            self.advance, self.search, self.choice, self.enter(before), codes
        )


def progressive_inversion(
    evidence: Evidence, settings: AttackerOptions, *, start: AttackResult | None
) -> AttackResult:
    """Searches a generator's latents, then its features block by block, until codes match.

    Every stage is left, or left out, where held-out public images say so by formula (1). Codes are
    compared in units of their noise where it is known.

    Args:
        evidence: with `encode`; public images to learn from.
        settings: of the generator's training; width and mu; a bound on the iterations (steps).
        start: not used, a generator can't take up another attack's pictures.

    Raises:
        ValueError: no `encode`, or the generator's training or the search diverged.
    """
    del start
    started = time.perf_counter()
    code_search.check_white_box(evidence, "generative_progressive")
    keras.utils.set_random_seed(settings.seed)
    faces = train_generator(evidence, settings)
    target, held_out = expected_coefficients(faces, evidence)
    stages = chosen_stages(evidence, settings, faces, held_out)
    loss = reconstruction_loss(evidence.perceptual_features, settings.mu)
    pairs = evidence.pairs
    on_held_out = pictures_after(stages, held_out, pairs.held_out_codes)
    losses = tuple(held_out_loss(each, pairs.held_out_images, loss) for each in on_held_out)
    pictures = pictures_after(stages, target, evidence.target_codes)[-1]
    if not (np.isfinite(pictures).all() and np.isfinite(losses).all()):
        raise ValueError(
            "Attack generative_progressive diverged: expected finite pictures, got others; is the"
            " gradient of Evidence.encode finite?"
        )
    return AttackResult(
        name="generative_progressive",
        knowledge=WHITE_BOX,
        settings={
            "words": "a search for pictures whose codes match, first among a generator's latents,"
            " then block by block among its features, near to where the search stood",
            "seed": settings.seed,
            "mu": settings.mu,
            "generator_images": faces.images,
            "generator_psnr": round(faces.reconstruction_psnr(pairs.held_out_images), 2),
            "stages": [stage_facts(stage) for stage in stages],
        },
        seconds=time.perf_counter() - started,
        held_out_loss=losses,
        reconstructions=pictures,
        held_out_reconstructions=on_held_out[-1],
    )


def stage_facts(stage: Stage) -> dict[str, str | float]:
    """A stage for the report."""
    choice = stage.choice
    return {
        "varied": stage.name,
        "radius": stage.radius,
        "iterations": choice.iterations,
        "share": choice.share,
        "prior_weight": choice.prior_weight,
    }


def chosen_stages(
    evidence: Evidence, settings: AttackerOptions, faces: FaceGenerator, coefficients: np.ndarray
) -> list[Stage]:
    """All stages, each chosen on held-out images from where the one before has arrived.

    Args:
        evidence: with `encode`.
        settings: seed, mu, and a bound on the iterations.
        faces: the generator.
        coefficients: float32 [H, C] that the held-out images are searched from.
    """
    pairs = evidence.pairs
    rows = sample_rows(len(coefficients), CHOOSING_IMAGES, settings.seed)
    codes, images, stand = (
        part[rows] for part in (pairs.held_out_codes, pairs.held_out_images, coefficients)
    )
    loss = reconstruction_loss(evidence.perceptual_features, settings.mu)
    latents = {0.0: latent_search(evidence, settings, faces)}
    stages = [chosen_stage(evidence, "latents", np.asarray, latents, stand, codes, images, loss)]
    stand = stages[0].arrive(stand, codes)
    for block, enter in blocks_of(faces, stand):
        searches = {radius: block.search(radius, settings) for radius in RADII}
        stages.append(
            chosen_stage(evidence, block.name, enter, searches, stand, codes, images, loss)
        )
        stand = stages[-1].arrive(stand, codes)
    return stages


def chosen_stage(
    evidence: Evidence,
    name: str,
    enter: Enter,
    searches: dict[float, Search],
    stand: np.ndarray,
    codes: np.ndarray,
    images: np.ndarray,
    loss: Loss,
) -> Stage:
    """The best of some searches, by pictures of images uint8 [n, S, S, 3] and their codes.

    Args:
        evidence: with `encode`.
        name: of what is varied.
        enter: of the stage.
        searches: radius -> search.
        stand: where the stage before has arrived for these codes.
        codes: float32 [n, ...].
        images: of those codes.
        loss: that decides.
    """
    start, found = enter(stand), []
    for radius, search in searches.items():
        advance = code_search.adam_steps(evidence, search)
        for weight in search.prior_weights:
            path = code_search.descend(advance, search, start, codes, weight, search.iterations)
            choice = code_search.best_of_path(path, search, weight, start, images, loss)
            found.append(Stage(name, enter, search, advance, choice, radius))
    return min(found, key=lambda stage: min(stage.choice.losses))


def pictures_after(
    stages: Sequence[Stage], coefficients: np.ndarray, codes: np.ndarray
) -> list[np.ndarray]:
    """Pictures float32 [N, S, S, 3] after each stage, batch by batch: features are large.

    Args:
        stages: in order.
        coefficients: float32 [N, C], where the first one starts.
        codes: float32 [N, ...], to match.
    """
    found: list[list[np.ndarray]] = [[] for _ in stages]
    for first in range(0, len(codes), code_search.BATCH):
        part = slice(first, first + code_search.BATCH)
        stand = coefficients[part]
        for stage, pictures in zip(stages, found, strict=True):
            stand = stage.arrive(stand, codes[part])
            pictures.append(code_search.pictures_of(stage.search, stand))
    return [np.concatenate(pictures) for pictures in found]


@dataclasses.dataclass(frozen=True)
class Block:
    """A block of a generator with the features that it gives.

    Their unknowns are float32 [B, 2, D]: the centre of the ball, and the features, both flat and in
    units of `deviation`.

    Attributes:
        name: of the layer that gives the features.
        deviation: of the features over positions, channels and faces.
        entry: latents, or the features of the block before, -> these features.
        rest: these features -> picture.
    """

    name: str
    deviation: float
    entry: keras.Model
    rest: keras.Model

    def picture(self, unknowns: tf.Tensor) -> tf.Tensor:
        """Unknowns -> pictures float32 [B, S, S, 3] in [0, 1]."""
        return self.rest(self.features(unknowns), training=False)

    def features(self, unknowns: tf.Tensor) -> tf.Tensor:
        """Unknowns -> features float32 [B, h, h, c]."""
        shape = (-1, *self.entry.output_shape[1:])
        return self.deviation * tf.reshape(unknowns[:, 1], shape)

    def centred(self, entering: tf.Tensor) -> np.ndarray:
        """Unknowns float32 [B, 2, D] in the centre of the ball, for what enters, [B, ...]."""
        features = self.entry(entering, training=False)
        flat = tf.reshape(features, (len(features), -1)) / self.deviation
        return tf.stack([flat, flat], axis=1).numpy()

    def search(self, radius: float, settings: AttackerOptions) -> Search:
        """The search of these features in the ball of a radius, as RADII."""
        size = radius * float(np.prod(self.entry.output_shape[1:]))

        def project(unknowns: tf.Tensor) -> tf.Tensor:
            centre = unknowns[:, 0]
            inside = centre + into_l1_ball(unknowns[:, 1] - centre, size)
            return tf.stack([centre, inside], axis=1)

        return Search(
            picture=self.picture,
            project=project,
            prior=lambda unknowns: tf.zeros_like(unknowns[:, 0, 0]),
            prior_weights=(0.0,),
            learning_rate=RATE,
            iterations=min(ITERATIONS, settings.steps),
        )


def blocks_of(faces: FaceGenerator, coefficients: np.ndarray) -> list[tuple[Block, Enter]]:
    """The generator's blocks from the coarse to the fine, and how a search of each starts.

    A block ends behind each convolution but the last, which gives the picture.

    Args:
        faces: the generator.
        coefficients: float32 [n, C] of some faces, by which features are measured.
    """
    generator = faces.generator
    ends = [
        layer.output
        for layer in generator.layers
        if isinstance(layer, layers.Conv2D | layers.Conv2DTranspose)
    ][:-1]
    latents = latents_of(faces, coefficients)
    found: list[tuple[Block, Enter]] = []
    begin, values = generator.input, tf.constant(latents)
    for end in ends:
        entry = keras.Model(begin, end)
        values = entry(values, training=False)
        deviation = float(tf.math.reduce_std(values))
        name = end._keras_history.operation.name
        block = Block(name, max(deviation, LEAST), entry, keras.Model(end, generator.output))
        found.append((block, entered(block, found[-1][0] if found else None, faces)))
        begin = end
    return found


def latents_of(faces: FaceGenerator, coefficients: np.ndarray) -> np.ndarray:
    """The generator's latents float32 [n, L] of coefficients [n, C]."""
    return coefficients @ faces.basis + faces.centre


def entered(block: Block, before: Block | None, faces: FaceGenerator) -> Enter:
    """How a search of a block's features starts: from latents, or the features before it."""
    if before is None:
        return lambda coefficients: block.centred(tf.constant(latents_of(faces, coefficients)))
    return lambda unknowns: block.centred(before.features(tf.constant(unknowns)))
