"""The decisions of a run: chosen once after training, kept beside the checkpoints."""

from absl import logging

from arl_tf.auditing.caches.code_cache import CodeCache
from arl_tf.auditing.encoders import decision_fit
from arl_tf.auditing.encoders.audited import AuditedEncoder
from arl_tf.auditing.evidence_collection import UTILITY_NOISE
from arl_tf.auditing.sealed_images import SealedImages, fingerprint
from arl_tf.experiments.experiment import Experiment
from arl_tf.metrics.tasks.definition import TaskDecisions
from arl_tf.metrics.tasks.registry import task_of
from arl_tf.utils import files, run_files

REMEDY = "Delete it: it is made again from X1's validation part."


def of_run(experiment: Experiment, audited_encoder: AuditedEncoder) -> TaskDecisions:
    """Decisions of a run's task head, such as thresholds; chosen and kept if not there yet.

    Args:
        experiment: a run with trained players.
        audited_encoder: its encoder with its task head, without a channel.

    Raises:
        ValueError: the file is damaged, or of other attributes.
    """
    path, names = experiment.run.decisions, experiment.images.attribute_names
    task = task_of(experiment.images.task_kind)
    if path.exists():
        content = run_files.read_json(path, remedy=REMEDY, keys=("encoder_sha256",))
        if content["encoder_sha256"] == audited_encoder.sha256:
            with run_files.telling(path, REMEDY):
                return task.read(content, names)
        logging.info("%s is of an encoder that was here before; choosing again", path)
    found = chosen_decisions(experiment, audited_encoder)
    files.write_json(path, {"encoder_sha256": audited_encoder.sha256, **found.as_json(names)})
    return found


def chosen_decisions(experiment: Experiment, audited_encoder: AuditedEncoder) -> TaskDecisions:
    """Chooses the decisions on X1's validation part."""
    images, rows = experiment.images, experiment.parts.private_validation
    # Nothing is sealed: T is not looked at.
    sealed = SealedImages(images.images, rows[:0], fingerprint(images))
    cache = CodeCache(experiment.cache, audited_encoder, sealed)
    seed = UTILITY_NOISE + experiment.config.seed
    found = decision_fit.fit_decisions(images, rows, audited_encoder, cache, seed)
    return found or task_of(images.task_kind).undecided(len(images.attribute_names))
