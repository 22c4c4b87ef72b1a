"""A kernel ridge regression from codes to embeddings, in closed form."""

import dataclasses
import time

import numpy as np

from arl_tf.attacks.evidence import AttackerOptions, Evidence
from arl_tf.attacks.identity.faces import (
    IdentityResult,
    PublicFaces,
    knowledge_of,
    known,
    mean_cosine,
    unit,
)
from arl_tf.attacks.knowledge import KNEW
from arl_tf.attacks.regression.code_view import CodeView
from arl_tf.attacks.regression.kernel_ridge import (
    CHOOSING_IMAGES,
    NOISE_DRAWS,
    KernelMap,
    averaged_predictions,
    kernel_maps,
    mixture,
)


def kernel(
    view: CodeView, evidence: Evidence, faces: PublicFaces, settings: AttackerOptions
) -> IdentityResult:
    """Kernel ridge regression (`kernel_ridge.kernel_maps`) from codes to directions of embeddings.

    The kernel and the penalty with the highest mean cosine on held-out public images count, for
    each network; so does whether one regression predicts or the mean of several.

    Args:
        view: the codes.
        evidence: says what the attacker knows.
        faces: embeddings of the public images.
        settings: seed.
    """
    started = time.perf_counter()
    wanted = {network: directions[view.rows] for network, directions in faces.public.items()}
    chosen = best_maps(view, wanted, faces, settings.seed)
    found = {
        network: best_prediction(
            view, each, wanted[network], faces.held_out[network], settings.seed
        )
        for network, each in chosen.items()
    }
    return IdentityResult(
        name="kernel",
        knowledge=knowledge_of(evidence),
        settings={
            "words": "kernel ridge regression from the code to the embedding, in closed form",
            "seed": settings.seed,
            "public_images": len(view.rows),
            "kernel": {network: each.kernel for network, each in chosen.items()},
            "penalty": {network: each.penalty for network, each in found.items()},
            "noise_draws": {network: each.noise_draws for network, each in found.items()},
            KNEW: known(evidence),
        },
        seconds=time.perf_counter() - started,
        held_out={network: each.held_out for network, each in found.items()},
        target={network: each.target for network, each in found.items()},
    )


@dataclasses.dataclass(frozen=True)
class Prediction:
    """Directions of embeddings that one or several regressions predict.

    Attributes:
        penalty: of the regressions.
        noise_draws: how many of them there are, each with noise of its own.
        held_out: float32 [H, E] of length 1.
        target: float32 [M, E] of length 1.
    """

    penalty: float
    noise_draws: int
    held_out: np.ndarray
    target: np.ndarray


def best_prediction(
    view: CodeView, chosen: KernelMap, wanted: np.ndarray, held_out_truth: np.ndarray, seed: int
) -> Prediction:
    """The chosen regression's, or the mean's of several (`kernel_ridge.averaged_predictions`).

    The one with the highest mean cosine on held-out public images.

    Args:
        view: the codes.
        chosen: the best single regression.
        wanted: float32 [N, E], directions of the public images.
        held_out_truth: float32 [H, E].
        seed: draws the noise.
    """
    held_out, target = (
        unit(chosen.predict(codes, wanted)) for codes in (view.held_out, view.target)
    )
    found = [Prediction(chosen.penalty, 1, held_out, target)]
    found += [
        Prediction(penalty, NOISE_DRAWS, *map(unit, means))
        for penalty, *means in averaged_predictions(view, chosen, wanted, seed)
    ]
    return max(found, key=lambda each: mean_cosine(each.held_out, held_out_truth))


def best_maps(
    view: CodeView, wanted: dict[str, np.ndarray], faces: PublicFaces, seed: int
) -> dict[str, KernelMap]:
    """Network -> the kernel ridge regression with the best held-out cosine.

    `wanted`: float32 [N, E] for each network, directions of the public images of `view`.
    """
    found: dict[str, tuple[float, KernelMap]] = {}
    for each in kernel_maps(view, seed):
        weights = each.weights(view.held_out[:CHOOSING_IMAGES])
        for network, outputs in wanted.items():
            truth = faces.held_out[network][:CHOOSING_IMAGES]
            cosine = mean_cosine(mixture(weights, outputs), truth)
            if network not in found or cosine > found[network][0]:
                found[network] = cosine, each
    return {network: each for network, (_, each) in found.items()}
