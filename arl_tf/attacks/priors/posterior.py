"""White-box inversion with a diffusion prior: denoising that is led to the code under attack.

After diffusion posterior sampling (Chung et al. 2023, arXiv 2209.14687, algorithm 1), with the
steps of DDIM (Song, Meng and Ermon 2021, arXiv 2010.02502, equation 12, without new noise). Where
ours differs: the denoising starts from another attack's picture, made noisy, and the guidance is a
step of a set length, so that its size can be chosen on held-out images for any encoder.

Cost: a pass of the network is as many multiply-adds as `diffusion.multiply_adds` says, 0.21 billion
at 64 pixels and --attacker_width=64. Its training takes 3 passes for each image of 4
--attacker_steps batches. A picture takes STEPS steps, each of 3 passes of the network and of the
encoder; for CHOOSING_IMAGES held-out images that is done for each of START_TIMES and LENGTHS.
"""

import dataclasses
import itertools
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from arl_tf.attacks import code_search
from arl_tf.attacks.closed_form import sample_rows
from arl_tf.attacks.code_search import CHOOSING_IMAGES, SHARES, code_distance
from arl_tf.attacks.evidence import WHITE_BOX, AttackerOptions, AttackResult, Evidence
from arl_tf.attacks.inversion import first_pictures
from arl_tf.attacks.objectives import held_out_loss, reconstruction_loss
from arl_tf.attacks.priors.diffusion import (
    STEPS_FACTOR,
    Denoiser,
    expected_image,
    made_noisy,
    multiply_adds,
    signal_and_noise,
    train_denoiser,
)

STEPS = 16
START_TIMES = (0.25, 0.5, 0.75)
# Of the guidance in a step: the root mean square over pixels in [-1, 1], times the noise's share.
LENGTHS = (0.02, 0.1, 0.4)
TINY = 1e-20
Sample = Callable[[np.ndarray, np.ndarray, "Settings"], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Settings:
    """How pictures are drawn.

    Attributes:
        start_time: how noisy the start is made, in (0, 1); 0: the start is the picture.
        length: of the guidance.
        share: of the way from the start to what is drawn.
    """

    start_time: float
    length: float
    share: float


def posterior_inversion(
    evidence: Evidence, settings: AttackerOptions, *, start: AttackResult | None
) -> AttackResult:
    """Pictures that a diffusion model of public images finds likely, and whose codes match.

    How noisy the start is made, the length of the guidance and the share of the way are chosen by
    formula (1) on held-out public images; where nothing is better there, the start is returned.

    Args:
        evidence: with `encode`; public images to learn from.
        settings: width, steps, batch size and rate of the model's training; seed and mu.
        start: another attack's result on the same evidence; None: the public mean image.

    Raises:
        ValueError: no `encode`, a start for other codes, or the training or the search diverged.
    """
    started = time.perf_counter()
    code_search.check_white_box(evidence, "diffusion_prior")
    keras.utils.set_random_seed(settings.seed)
    starts = first_pictures(evidence, start)
    denoiser, loss_of_model = train_denoiser(evidence, settings)
    sample = sampler(evidence, denoiser, settings.seed)
    chosen = chosen_settings(evidence, settings, sample, starts[1])
    pairs = evidence.pairs
    pictures, held_out = (
        drawn(sample, chosen, begin, codes)
        for begin, codes in zip(starts, (evidence.target_codes, pairs.held_out_codes), strict=True)
    )
    loss = reconstruction_loss(evidence.perceptual_features, settings.mu)
    losses = tuple(
        held_out_loss(each, pairs.held_out_images, loss) for each in (starts[1], held_out)
    )
    if not (np.isfinite(pictures).all() and np.isfinite(losses).all()):
        raise ValueError(
            "Attack diffusion_prior diverged: expected finite pictures, got others; is the gradient"
            " of Evidence.encode finite?"
        )
    return AttackResult(
        name="diffusion_prior",
        knowledge=WHITE_BOX,
        settings=settings_for_report(settings, start, denoiser, loss_of_model, chosen),
        seconds=time.perf_counter() - started,
        held_out_loss=losses,
        reconstructions=pictures,
        held_out_reconstructions=held_out,
    )


def settings_for_report(
    settings: AttackerOptions,
    start: AttackResult | None,
    denoiser: Denoiser,
    loss_of_model: float,
    chosen: Settings,
) -> dict[str, Any]:
    """The attack's settings for the report."""
    origin = "the public mean image" if start is None else f"the pictures of {start.name}"
    return {
        "words": "a diffusion model of public images removes noise step by step, led to pictures"
        f" whose codes match; it starts from {origin}, made noisy",
        "start": "" if start is None else start.name,
        "seed": settings.seed,
        "mu": settings.mu,
        "model_images": denoiser.images,
        "model_loss": round(loss_of_model, 5),
        "steps": STEPS,
        **dataclasses.asdict(chosen),
    }


def chosen_settings(
    evidence: Evidence, settings: AttackerOptions, sample: Sample, begin: np.ndarray
) -> Settings:
    """The best settings by pictures of CHOOSING_IMAGES held-out images.

    Args:
        evidence: with `encode`.
        settings: seed and mu.
        sample: from `sampler`.
        begin: float32 [H, S, S, 3] in [0, 1], where the held-out images start.
    """
    pairs = evidence.pairs
    rows = sample_rows(len(begin), CHOOSING_IMAGES, settings.seed)
    loss = reconstruction_loss(evidence.perceptual_features, settings.mu)
    images, codes, first = pairs.held_out_images[rows], pairs.held_out_codes[rows], begin[rows]
    best = Settings(0.0, 0.0, 0.0)
    least = held_out_loss(first, images, loss)
    for start_time, length in itertools.product(START_TIMES, LENGTHS):
        whole = Settings(start_time, length, 1.0)
        end = drawn(sample, whole, first, codes)
        for share in SHARES:
            found = held_out_loss(first + np.float32(share) * (end - first), images, loss)
            if found < least:
                best, least = dataclasses.replace(whole, share=share), found
    return best


def drawn(sample: Sample, chosen: Settings, begin: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Pictures float32 [N, S, S, 3] in [0, 1] of codes [N, ...] from where they begin."""
    if not chosen.start_time:
        return begin
    return begin + np.float32(chosen.share) * (sample(begin, codes, chosen) - begin)


def sampler(evidence: Evidence, denoiser: Denoiser, seed: int) -> Sample:
    """The guided denoising of pictures float32 [N, S, S, 3] in [0, 1] for codes [N, ...].

    The noise of every picture follows from the seed and its place.
    """
    lead = guided_steps(evidence, denoiser)

    def sample(begin: np.ndarray, codes: np.ndarray, chosen: Settings) -> np.ndarray:
        rng, found = np.random.default_rng(seed), []
        for start, wanted in zip(
            code_search.batches(begin), code_search.batches(codes), strict=True
        ):
            noise = tf.constant(rng.standard_normal(start.shape, np.float32))
            first = tf.constant(chosen.start_time, tf.float32)
            found.append(lead(start, wanted, noise, first, tf.constant(chosen.length)).numpy())
        return np.concatenate(found)[: len(begin)]

    return sample


def guided_steps(evidence: Evidence, denoiser: Denoiser) -> Callable[..., tf.Tensor]:
    """A tf.function (begin, codes, noise, start time, length) -> pictures in [0, 1].

    Pictures, begin and noise are float32 [B, S, S, 3], codes float32 [B, ...], the others scalars.
    All are tensors, so that it is traced once. An image's steps do not depend on the others.
    """
    deviation = code_search.compared_in(evidence)

    def expected(noisy, moment, codes, length):
        """The image that is expected, led to the code by a step of `length` times the noise."""
        moments = tf.fill(tf.shape(noisy)[:1], moment)
        with tf.GradientTape() as tape:
            tape.watch(noisy)
            image = expected_image(noisy, denoiser.velocity(noisy, moments), moments)
            shown = tf.clip_by_value((image + 1.0) / 2.0, 0.0, 1.0)
            distance = tf.reduce_sum(code_distance(evidence.encode(shown), codes, deviation))
        gradient = tape.gradient(distance, noisy)
        size = tf.sqrt(tf.reduce_mean(tf.square(gradient), axis=(1, 2, 3), keepdims=True) + TINY)
        _, sigma = signal_and_noise(moment)
        return tf.clip_by_value(image - length * sigma * gradient / size, -1.0, 1.0)

    @tf.function(autograph=False)
    def lead(begin, codes, noise, start_time, length):
        first = tf.fill(tf.shape(begin)[:1], start_time)

        def step(number, noisy):
            moment = start_time * (1.0 - tf.cast(number, tf.float32) / STEPS)
            later = start_time * (1.0 - tf.cast(number + 1, tf.float32) / STEPS)
            image = expected(noisy, moment, codes, length)
            alpha, sigma = signal_and_noise(moment)
            rest = (noisy - alpha * image) / sigma
            return number + 1, made_noisy(image, tf.fill(tf.shape(begin)[:1], later), rest)

        noisy = made_noisy(2.0 * begin - 1.0, first, noise)
        _, image = tf.while_loop(lambda number, _: number < STEPS, step, (tf.constant(0), noisy))
        return tf.clip_by_value((image + 1.0) / 2.0, 0.0, 1.0)

    return lead


def sampling_cost(evidence: Evidence, settings: AttackerOptions) -> float:
    """Multiply-adds of training and denoising, roughly; those of the encoder are not known."""
    each = 3 * multiply_adds(evidence.pairs.images.shape[1], settings.width)
    trained = STEPS_FACTOR * settings.steps * settings.batch_size
    tried = CHOOSING_IMAGES * len(START_TIMES) * len(LENGTHS)
    pictures = tried + len(evidence.target_codes) + len(evidence.pairs.held_out_codes)
    return each * (trained + STEPS * pictures)
