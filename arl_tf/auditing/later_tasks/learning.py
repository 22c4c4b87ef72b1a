"""What a code buys over the task output: tasks that are learned later, from labelled codes.

Attributes outside the task are learned from codes of public people (X2), who trained no encoder,
and read from the codes on which utility is measured. The same is learned from the task output
alone, and from the codes of the unprotected reference.
"""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from arl_tf.attacks import noise_views
from arl_tf.attacks.evidence import CodeNoise, Evidence
from arl_tf.attacks.regression import undone
from arl_tf.attacks.several_codes import SINGLE, SeveralCodes
from arl_tf.auditing.evidence_collection import on_task_output
from arl_tf.auditing.later_tasks import protected
from arl_tf.auditing.sealed_images import Rows
from arl_tf.auditing.settings import AuditSettings
from arl_tf.data.image_sets import ImageSet
from arl_tf.metrics import few_labels
from arl_tf.metrics.projection import projected
from arl_tf.models.standardisation import flattened, standardisation
from arl_tf.utils import progress

# Labelled codes, beside all that there are; fewer than all are drawn so many times.
SIZES, DRAWS = (100, 1000), 5
DRAW_SEED = 211
# Principal components of codes, and of products of logits.
COMPONENTS = 512
CODE, TASK_OUTPUT = "code", "task_output"
Features = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class LaterTasks:
    """What was predicted of attributes outside the task.

    Attributes:
        names: K attributes.
        truth: {0, 1} [N, K], of the images that utility is measured on.
        predicted: "SOURCE/LABELS" -> bool [draws, N, K], by source (CODE, TASK_OUTPUT) and number
            of labelled codes, the fewest first.
    """

    names: tuple[str, ...]
    truth: np.ndarray
    predicted: Mapping[str, np.ndarray]

    @property
    def kept(self) -> dict[str, np.ndarray]:
        """What an audit with this one for a reference needs: "LABELS/NAME" -> bool [draws, N]."""
        return {
            f"{key.partition('/')[2]}/{name}": predicted[:, :, column]
            for key, predicted in self.predicted.items()
            if key.startswith(f"{CODE}/")
            for column, name in enumerate(self.names)
        }


def learn(
    settings: AuditSettings,
    images: ImageSet,
    rows: Rows,
    evidence: Evidence,
    codes: np.ndarray,
    utility_codes: np.ndarray,
    utility_logits: np.ndarray | None,
) -> LaterTasks | None:
    """Learns the attributes outside the task; None where there are none.

    Args:
        settings: seed, codes of each photo, protected attributes.
        images: the data set.
        rows: who is who.
        evidence: what is known of the noise in codes, and the task output for public codes.
        codes: float32 [n, ...], single codes of `rows.attacker`, then of `rows.held_out`.
        utility_codes: float32 [N, ...] of `rows.utility`.
        utility_logits: float32 [N, A], the task output for them; None without a task head.
    """
    names = images.other_attribute_names
    if not names:
        return None
    public = np.concatenate([rows.attacker, rows.held_out])
    labels, truth = (images.other_attributes[part] for part in (public, rows.utility))
    outputs, count = evidence.task_outputs, len(rows.attacker)
    noise = single_noise(evidence.noise, evidence.several)
    scale = noise_views.seen_codes(evidence.pairs, noise)
    see = code_view(scale, codes, codes if noise is None else noise.public_means[:count])
    given = {CODE: tuple({"code": see(each)} for each in (codes, utility_codes))}
    if outputs is not None and utility_logits is not None:
        logits = np.concatenate([outputs.public[:count], outputs.held_out])
        read = logit_view(logits)
        given[TASK_OUTPUT] = tuple(read(each) for each in (logits, utility_logits))
        # Whoever has the code can compute the task output.
        given[CODE] = tuple(map(both, given[CODE], given[TASK_OUTPUT]))
    predicted = learned_from_all(given, labels, settings.seed)
    columns = [names.index(name) for name in settings.protected_attributes]
    if columns and TASK_OUTPUT in given:
        seen = single_codes(settings, evidence, noise, codes, count)
        kernels = {
            CODE: dataclasses.replace(seen, target_codes=utility_codes),
            TASK_OUTPUT: dataclasses.replace(on_task_output(evidence), target_codes=utility_logits),
        }
        ridges = {source: known for source, (known, _) in given.items()}
        read_protected(predicted, columns, ridges, kernels, labels, settings)
    return LaterTasks(names, truth, predicted)


def learned_from_all(
    given: Mapping[str, tuple[Features, Features]], labels: np.ndarray, seed: int
) -> dict[str, np.ndarray]:
    """Predictions bool [draws, M, K] by "SOURCE/LABELS", see `LaterTasks`.

    Args:
        given: source -> features of labelled rows and of the others, as of `learned_from`.
        labels: {0, 1} [N, K].
        seed: draws rows.
    """
    sizes, predicted = sizes_of(len(labels)), {}
    with progress.bar("Later tasks learned", len(given) * len(sizes)) as advance:
        for source, (known, asked) in given.items():
            for size in sizes:
                predicted[f"{source}/{size}"] = learned_from(size, known, asked, labels, seed)
                advance()
    return predicted


def read_protected(
    predicted: Mapping[str, np.ndarray],
    columns: list[int],
    ridges: Mapping[str, Features],
    kernels: Mapping[str, Evidence],
    labels: np.ndarray,
    settings: AuditSettings,
) -> None:
    """Lets the stronger of ridge and kernel regression read protected attributes from all labels.

    Which one it is for an attribute is chosen on held-out public images, for codes and for task
    outputs alike. Whoever has the code can compute the task output, and read that.

    Args:
        predicted: as of `LaterTasks`; the protected columns of the largest size are replaced.
        columns: of protected attributes.
        ridges: CODE, TASK_OUTPUT -> kind -> features float [N, D] of all labelled rows, the
            held-out ones last.
        kernels: CODE, TASK_OUTPUT -> what kernel regression learns from, with the codes that are
            asked for as `target_codes`.
        labels: {0, 1} [N, K].
        settings: seed, what is known of the attackers.
    """
    wanted = labels[:, columns]
    count = len(labels) - len(kernels[CODE].pairs.held_out_codes)
    whole = {source: predicted[f"{source}/{len(labels)}"][0] for source in ridges}
    by_ridge = {
        source: protected.by_ridge(known, wanted, whole[source][:, columns], count)
        for source, known in ridges.items()
    }
    by_kernel = {
        source: protected.by_kernel(
            undone.undone(seen, settings.attacker), wanted, count, settings.seed
        )
        for source, seen in kernels.items()
    }
    readings = {
        CODE: [by_ridge[CODE], by_kernel[CODE], by_kernel[TASK_OUTPUT]],
        TASK_OUTPUT: [by_ridge[TASK_OUTPUT], by_kernel[TASK_OUTPUT]],
    }
    for source, each in readings.items():
        whole[source][:, columns] = protected.strongest(each, wanted[count:])


def single_codes(
    settings: AuditSettings,
    evidence: Evidence,
    noise: CodeNoise | None,
    codes: np.ndarray,
    count: int,
) -> Evidence:
    """The evidence of single codes, without mirror images where attackers get means of several.

    Args:
        settings: codes of each photo.
        evidence: what attackers have.
        noise: of single codes.
        codes: float32 [N, ...], single ones, the held-out ones last.
        count: of those that are not held out.
    """
    if settings.codes_per_photo == 1:
        return evidence
    pairs = dataclasses.replace(
        evidence.pairs,
        codes=codes[:count],
        images=evidence.pairs.images[:count],
        held_out_codes=codes[count:],
    )
    return dataclasses.replace(
        evidence,
        pairs=pairs,
        noise=noise and noise.of(np.arange(count)),
        several=SINGLE,
        each=None,
    )


def sizes_of(count: int) -> list[int]:
    """Numbers of labelled codes to learn from, of `count` that there are."""
    return [size for size in SIZES if size < count] + [count]


def learned_from(
    size: int, known: Features, asked: Features, labels: np.ndarray, seed: int
) -> np.ndarray:
    """Predictions bool [draws, M, K] by what is learned from `size` of the labelled rows.

    Args:
        size: number of labelled rows; the draws are the same for every source.
        known: kind -> features float [N, D] of labelled rows.
        asked: kind -> features float [M, D] of the others.
        labels: {0, 1} [N, K].
        seed: draws rows.
    """
    rng = np.random.default_rng([seed, DRAW_SEED, size])
    draws = []
    for _ in range(1 if size == len(labels) else DRAWS):
        drawn = rng.choice(len(labels), size, replace=False)
        chosen = {kind: features[drawn] for kind, features in known.items()}
        draws.append(few_labels.predict_best(chosen, labels[drawn], asked))
    return np.stack(draws)


def single_noise(noise: CodeNoise | None, several: SeveralCodes) -> CodeNoise | None:
    """What is known of the noise in single codes, where attackers get one made of several."""
    return noise and noise.of_one_code(several)


def code_view(
    scale: Callable[[np.ndarray], np.ndarray], public: np.ndarray, clean: np.ndarray
) -> Callable[[np.ndarray], np.ndarray]:
    """How codes are seen: scaled, then along principal directions, the largest of deviation 1.

    Args:
        scale: codes -> codes float32 of the same shape, values weighted by what they tell.
        public: float32 [N, ...], the codes to learn from.
        clean: float32 [n, ...], codes that directions are those of: mean codes where there are any.

    Returns:
        codes float32 [m, ...] -> float64 [m, C].
    """
    project = projected(flattened(scale(clean)), COMPONENTS)
    deviation = largest_deviation(project(flattened(scale(public))))
    return lambda codes: project(flattened(scale(codes))) / deviation


def logit_view(public: np.ndarray) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """How task outputs are seen: as they are, and with their squares and products beside them.

    `public` float32 [N, A]; the function gives float64 [m, ...] by kind for logits [m, A].
    """
    scale = standardisation(public)
    project = projected(products(scale(public)), COMPONENTS)
    deviation = largest_deviation(project(products(scale(public))))

    def see(logits: np.ndarray) -> dict[str, np.ndarray]:
        plain = scale(logits)
        curved = [plain, project(products(plain)) / deviation]
        return {"task_output": plain, "task_output_squared": np.concatenate(curved, axis=1)}

    return see


def both(code: Features, output: Features) -> dict[str, np.ndarray]:
    """The kinds of features of whoever has a code: code, task output, one beside the other.

    Features are float [N, D] each, D of their own.
    """
    beside = np.concatenate([code["code"], output["task_output"]], axis=1)
    return {**code, **output, "beside": beside}


def products(values: np.ndarray) -> np.ndarray:
    """Squares and products of values float [N, A]; float [N, A (A + 1) / 2]."""
    first, second = np.triu_indices(values.shape[1])
    return values[:, first] * values[:, second]


def largest_deviation(features: np.ndarray) -> float:
    """The largest deviation of features float64 [n, C]; 1 where all are constant."""
    return float(features.std(axis=0).max()) or 1.0
