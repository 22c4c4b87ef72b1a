"""What a reader of an audit must know besides its figures, in sentences."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from arl_tf.attacks import knowledge
from arl_tf.attacks.evidence import ENOUGH_GAIN, WHITE_BOX, Evidence
from arl_tf.attacks.registry import ATTACKERS
from arl_tf.attacks.regression import completion
from arl_tf.attacks.several_codes import SeveralCodes
from arl_tf.auditing import attack_runs, leakage
from arl_tf.auditing.encoders.audited import AuditedEncoder
from arl_tf.auditing.identity import section
from arl_tf.auditing.measurements import Measurements, chosen_tasks
from arl_tf.data.shared_photos import SharedPhotos, find_shared
from arl_tf.metrics import measures
from arl_tf.metrics.reconstruction import headline

# A gap between the audit's attackers and training's own adversary that deserves a warning.
PSNR_GAP, FACE_GAP = 1.0, 0.05
NO_REFERENCE = "There is no unprotected reference, so the leakage is unknown"
# Of an audit whose attackers take dropped values for noise; the verdict looks for it.
DROPPED_SEEN = (
    "pictures, searches, probes and attacks on identity that leave out the values that each code"
    " has dropped, which everybody sees: such attackers get more"
)
MEASURE_WORDS = {
    "face_similarity": "face similarity",
    "face_similarity_2": "face similarity by the second judge",
    "feature_similarity": "feature similarity",
    "reid_rank1": "rank 1",
    "psnr": "PSNR in dB",
    "ssim": "SSIM",
}


def warnings(
    found: Measurements,
    attacks: Sequence[Mapping[str, Any]],
    worst: Mapping[str, Any],
    adversary: Mapping[str, Any] | None,
    reference: Mapping[str, Any] | None,
) -> list[str]:
    """What a reader must not overlook, in sentences."""
    said = noise_warning(attacks)
    if adversary is not None:
        said += gap_warning(worst, adversary)
    weights = found.weights(found.rows.target)
    said += weak_attackers(found.attacks_on(floor=False), found.floors, weights)
    growing = [
        name
        for name, task in chosen_tasks(found).items()
        if found.facts[task]["settings"].get("late_gain", 0) >= ENOUGH_GAIN
    ]
    if growing:
        said.append(
            f"These attackers had not converged, so they may get more with more steps:"
            f" {', '.join(growing)} (--attacker_steps)."
        )
    if reference is None:
        said.append(
            f"{NO_REFERENCE} (--reference=auto trains one; arl_tf.audit takes reference=, the"
            " result of its audit)."
        )
    elif found.reference.code_shape != found.evidence.target_codes.shape[1:]:
        said.append(
            f"The code of the reference has the shape {found.reference.code_shape}, this code"
            f" {found.evidence.target_codes.shape[1:]}: the leakage compares codes of different"
            " sizes."
        )
    if reference is not None and not comparable_candidates(found):
        said.append(
            "The audit of the reference does not tell how often candidate photos are found by its"
            " codes. Audit it again for these figures (--stages=audit --overwrite)."
        )
    said += unlike_warning(found) + fusion_warning(found)
    count = found.settings.codes_per_photo
    if count > 1 and found.evidence.query and not found.evidence.random_codes:
        said.append(
            f"A photo has the same code each time, so {count} of them tell no more than one."
        )
    if not found.images.identities_known:
        said.append(unknown_groups(found))
    shared = shared_with_test(found).sentence()
    return [*said, shared] if shared else said


def noise_warning(attacks: Sequence[Mapping[str, Any]]) -> list[str]:
    """Which attackers on noisy codes were not told the noise; `attacks` as in report.json.

    Or that nobody knows whether codes have noise.
    """
    if knowledge.is_unknown(attacks):
        return [f"{knowledge.UNKNOWN_NOISE}."]
    untold = knowledge.untold(attacks)
    if not untold:
        return []
    if len(untold) == len(attacks):
        return [f"{knowledge.UNTOLD_NOISE}."]
    return [
        f"These attackers were not told the noise of the codes, so their figures are too low:"
        f" {', '.join(untold)}."
    ]


def unlike_warning(found: Measurements) -> list[str]:
    """That this code and the reference met different attackers; [] where they did not."""
    if not found.reference:
        return []
    names = list(found.attacks_on(floor=False))
    return [
        *left_out_words(
            leakage.left_out(found.reference, names),
            is_closed=found.audited_encoder.white_box is None,
        ),
        *spared_words(leakage.spared(found.reference, names)),
    ]


def left_out_words(names: Sequence[str], *, is_closed: bool) -> list[str]:
    """That leakages leave attacks on the reference out, in a warning; [] without any.

    Args:
        names: of the attacks.
        is_closed: whether the inside of the audited encoder is not at hand.
    """
    if not names:
        return []
    single = [name for name in names if name not in leakage.COMBINED]
    said = "Different attackers met this code and that of the reference."
    if single:
        said += f" The reference was attacked by {', '.join(single)} as well, this code was not."
    said += (
        f" Leakages leave out {', '.join(names)}: they compare what the attackers got that met both"
        " codes."
    )
    inside = [n for n in single if n in ATTACKERS and ATTACKERS[n].knowledge == WHITE_BOX]
    if is_closed and inside:
        said += (
            f" The inside of this encoder is not at hand, and {', '.join(inside)} need it: whoever"
            " has it may get a larger share than these leakages say."
        )
    return [said]


def spared_words(names: Sequence[str]) -> list[str]:
    """That attacks on this code were none on the reference, in a warning; [] without any."""
    if not names:
        return []
    return [
        f"This code was attacked by {', '.join(names)} as well, the reference was not, because"
        " other attackers find more there. What they get counts for this code alone, so leakages"
        " may be too high."
    ]


def fusion_warning(found: Measurements) -> list[str]:
    """That the leakage of predicted embeddings leaves fusion out; [] where it does not."""
    beyond = found.reference and section.pictures_beyond(
        found.reference, list(found.attacks_on(floor=False))
    )
    if not beyond:
        return []
    return [
        f"The reference was attacked by {', '.join(beyond)} as well, this code was not: the leakage"
        " of predicted embeddings leaves fusion out, which has these pictures. Audit both with the"
        " same --attackers."
    ]


def comparable_candidates(found: Measurements) -> bool:
    """Whether the reference's audit compared the same candidate photos with its codes."""
    hits = found.reference.candidate_hits
    return bool(hits) and all(len(of) == len(found.candidates.rows) for of in hits.values())


def shared_with_test(found: Measurements) -> SharedPhotos:
    """Photos under attack that stand in X1 or X2 as well."""
    images = found.images.images
    others = np.setdiff1d(
        np.arange(len(images)), np.concatenate([found.rows.target, found.rows.utility])
    )
    return find_shared(images, others, found.rows.target)


def weak_attackers(
    on_code: Mapping[str, Mapping[str, np.ndarray]],
    floors: Mapping[str, Mapping[str, np.ndarray]],
    weights: np.ndarray,
) -> list[str]:
    """That the attackers of the code are too weak, where they get less than a floor; [] otherwise.

    Whoever has the code can compute the task output and make the mean image, so the best attack on
    the code gets at least as much. Less is what is surely less: the 95 % interval of the
    difference, over the same images, lies below 0.

    Args:
        on_code: attack on the code -> measure -> float64 [N].
        floors: likewise, attacks on less than the code.
        weights: of the bootstrap's resamples, float [R, N].
    """
    below = []
    for measure, words in MEASURE_WORDS.items():
        if not all(leakage.is_defined(measure, found) for found in (on_code, floors)):
            continue
        code, floor = (best_of(found, measure) for found in (on_code, floors))
        if is_surely_below(code, floor, weights):
            below.append(
                f"{words} {measures.mean(code):.3f} from the code, {measures.mean(floor):.3f}"
                " without it"
            )
    if not below:
        return []
    return [
        "The attackers of the code are too weak: the best of them gets less than an attacker gets"
        f" from the task output or the mean image ({'; '.join(below)}). Whoever has the code can"
        " compute the task output, so the figures also count the attacks on it. Stronger attackers"
        " of the code get at least as much, and may get more."
    ]


def best_of(attacks: Mapping[str, Mapping[str, np.ndarray]], measure: str) -> np.ndarray:
    """The figures float64 [N] of the attack with the highest mean, without those that are NaN."""
    return max((found[measure] for found in attacks.values()), key=measures.mean)


def is_surely_below(values: np.ndarray, others: np.ndarray, weights: np.ndarray) -> bool:
    """Whether the 95 % interval of the mean of `values` - `others`, float [N], lies below 0.

    Of the images that have both figures. `weights` of the resamples are float [R, N].
    """
    differences = measures.weighted_means(values - others, weights)
    if np.isnan(differences).all():
        return False
    return measures.interval(differences)[1] < 0


def gap_warning(worst: Mapping[str, Any], adversary: Mapping[str, Any]) -> list[str]:
    """The train-versus-audit gap in words, where it is large."""
    judged = headline([name for name, found in worst.items() if found["value"] is not None])
    gaps = {m: worst[m]["value"] - adversary[m]["value"] for m in ("psnr", judged)}
    if gaps["psnr"] < PSNR_GAP and gaps[judged] < FACE_GAP:
        return []
    figures = ", ".join(
        f"{words} {worst[m]['value']:.{digits}f} against {adversary[m]['value']:.{digits}f}"
        for m, words, digits in (
            (judged, judged.replace("_", " "), 3),
            ("psnr", "PSNR in dB", 1),
        )
    )
    return [
        "New attackers do much better than the adversary that the encoder was trained against"
        f" ({figures}). The encoder has learned to mislead this adversary: do not quote the"
        " privacy figures that the training logged."
    ]


def assumptions(found: Measurements) -> list[str]:
    """What the figures rest on, in sentences."""
    said = [
        f"The attackers have the codes of {len(found.rows.attacker):,} public images. They have no"
        f" photo of the {'people' if found.images.has_faces else 'groups'} under attack.",
        codes_seen(found.evidence.several),
        who_judges(found),
    ]
    if found.settings.recorded:
        said.append(
            "The recorded codes are those of the images in the file. This can't be checked."
        )
    if found.fitted_head:
        said.append(
            "The task head was fitted by the audit, on the codes of the private images (X1)."
        )
    if found.audited_encoder.signal_share is not None:
        said.append(
            "The encoder draws new noise for every code, and nobody can guess it. The mean of n"
            " codes of a photo has 1 / sqrt(n) of the noise of one code."
        )
    if found.audited_encoder.noise_deviation is not None:
        said.append(
            "Attackers were told how much Gaussian noise the encoder adds to every value. The audit"
            " did not measure it."
        )
    said += inside_words(found.audited_encoder)
    if found.audited_encoder.share is not None:
        share, shares = found.audited_encoder.share
        said.append(
            f"The attacker is one server, which sees share {share} of the {shares} shares of every"
            " code, and its own answer for the task. Utility is that of this answer alone. Servers"
            " that put their shares together have all of the code: an audit without --audit_share"
            " attacks that."
        )
    if not found.audited_encoder.channel.is_identity:
        said.append(
            f"Every code passes a channel: {found.audited_encoder.channel.describe()['words']}."
        )
    return said


def inside_words(audited_encoder: AuditedEncoder) -> list[str]:
    """How white-box attackers follow a file whose gradients are not simply there, in sentences."""
    said = []
    if audited_encoder.mean_draws:
        said.append(
            "The noise of the encoder can't be left out of its graph. White-box attackers take the"
            f" mean of {audited_encoder.mean_draws} random codes for the code of a picture, and"
            " follow the mean gradient of several draws."
        )
    if audited_encoder.straight_through:
        said.append(
            "The encoder rounds, so its gradients are zero. White-box attackers follow the"
            " gradients that it would have without rounding (straight through)."
        )
    return said


def who_judges(found: Measurements) -> str:
    """What compares the pictures with the originals, in sentences."""
    if found.images.has_faces:
        return (
            "Identity networks compare the faces. They may judge worse for groups of people on whom"
            " they were not trained."
        )
    return (
        "The images are not taken to be of faces, so no identity network judges them: face"
        " similarity, ranks and attacks on identity are off (--identity_measures). Feature"
        " similarity, by a network that was trained on ImageNet, stands in their place."
    )


def unknown_groups(found: Measurements) -> str:
    """That nobody knows which images belong together, in a sentence."""
    if found.images.has_faces:
        return (
            "The data name no people: photos of one person may be among the public images and among"
            " those under attack."
        )
    return (
        "The data name no groups: images of one patient, room or person may be among the public"
        " images and among those under attack."
    )


def codes_seen(several: SeveralCodes) -> str:
    """How often a photo is encoded, in a sentence."""
    if several.count == 1:
        return "The attackers see one code of a photo, once."
    use = "all values that one of them has left" if several.dropped else "their mean"
    return (
        f"The attackers get {several.count} codes of every photo and use {use}. Utility and the"
        " task output are those of a single code."
    )


def not_tested(found: Measurements) -> list[str]:
    """What this audit leaves open, in sentences."""
    said = attack_runs.not_tested(
        found.settings.audit, found.evidence, found.settings.attacker_names
    )
    if found.audited_encoder.not_white_box:
        said.append(f"white-box attacks are missing because {found.audited_encoder.not_white_box}")
    if found.evidence.random_codes and found.settings.codes_per_photo == 1:
        said.append(
            "an attacker with several codes of one photo, whose noise averages out"
            " (--codes_per_photo)"
        )
    if found.evidence.unknown_noise:
        said.append(
            "an attacker who is told the noise of the codes, and one with several codes of one"
            " photo: it is unknown whether the recorded codes have noise"
        )
    said += dropped_values(found.evidence)
    if found.evidence.task_outputs is None:
        said.append(
            "the floor from the task output, because there is no task head and there are no labels"
        )
    return said


def dropped_values(evidence: Evidence) -> list[str]:
    """What is left open about codes with dropped values; [] for others.

    Where they can be filled in, closed forms, attacks on identity, linkage and probes have codes
    with these values filled in, and a search leaves them out. Else they take dropped values for
    noise around a mean.
    """
    if not evidence.drops_values or completion.can_complete(evidence):
        return []
    return [DROPPED_SEEN]
