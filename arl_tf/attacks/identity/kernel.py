"""A kernel ridge regression from codes to embeddings, in closed form."""

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
from arl_tf.attacks.regression.kernel_ridge import CHOOSING_IMAGES, KernelMap, kernel_maps, mixture


def kernel(
    view: CodeView, evidence: Evidence, faces: PublicFaces, settings: AttackerOptions
) -> IdentityResult:
    """Kernel ridge regression (`kernel_ridge.kernel_maps`) from codes to directions of embeddings.

    The kernel and the penalty with the highest mean cosine on held-out public images count, for
    each network.

    Args:
        view: the codes.
        evidence: says what the attacker knows.
        faces: embeddings of the public images.
        settings: seed.
    """
    started = time.perf_counter()
    wanted = {network: directions[view.rows] for network, directions in faces.public.items()}
    found = best_maps(view, wanted, faces, settings.seed)
    return IdentityResult(
        name="kernel",
        knowledge=knowledge_of(evidence),
        settings={
            "words": "kernel ridge regression from the code to the embedding, in closed form",
            "seed": settings.seed,
            "public_images": len(view.rows),
            "kernel": {network: each.kernel for network, each in found.items()},
            "penalty": {network: each.penalty for network, each in found.items()},
            KNEW: known(evidence),
        },
        seconds=time.perf_counter() - started,
        held_out={n: unit(each.predict(view.held_out, wanted[n])) for n, each in found.items()},
        target={n: unit(each.predict(view.target, wanted[n])) for n, each in found.items()},
    )


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
