"""What an audit costs on this machine: by attacker, with what an earlier one left, and growth.

All audits are of an encoder with random weights on drawn faces, in this process. The networks that
audits share are built before the first one, so that no figure depends on which audit was first.
"""

import dataclasses
import pathlib
import tempfile
import time
from collections.abc import Mapping, Sequence

import keras

from arl_tf.auditing import audit
from arl_tf.auditing.audit import Attacked
from arl_tf.auditing.channel import Channel
from arl_tf.auditing.encoders import audited
from arl_tf.auditing.encoders.audited import AuditedEncoder
from arl_tf.config.settings import Config
from arl_tf.experiments import audits, experiment
from arl_tf.experiments.experiment import Experiment
from arl_tf.experiments.run_directory import RunDirectory
from arl_tf.models import architectures

# At most 200 images are attacked at the level quick: twice the faces must stay below.
SIDE, FACES = 64, 600
# One map and one decoder; two of each; what an earlier audit did of the two of each.
HALF, ALL = ("linear", "decoder"), ("linear", "retrieval", "decoder", "decoder_perceptual")
EARLIER = ALL[:-1]
# A quick audit's decoders train a sixth of them.
STEPS = 360
WARM_FACES, WARM_STEPS = 240, 12


@dataclasses.dataclass(frozen=True)
class AuditSize:
    """A set of drawn faces and the encoder under audit.

    Attributes:
        faces: how many.
        side: of a face, pixels.
        steps: most steps of a decoder, --attacker_steps.
    """

    faces: int = FACES
    side: int = SIDE
    steps: int = STEPS

    def config(self, cache: pathlib.Path, attackers: Sequence[str] = ()) -> Config:
        """The settings of an audit by these attackers; `cache` is that of images and codes."""
        return Config(
            dataset="faces",
            num_faces=self.faces,
            image_size=self.side,
            cache_dir=str(cache),
            audit="quick",
            attackers=",".join(attackers),
            attacker_width=16,
            attacker_depth=1,
            attacker_steps=self.steps,
        )


@dataclasses.dataclass(frozen=True)
class Timed:
    """Seconds of one audit.

    Attributes:
        attacking: codes, evidence and all attacks.
        measuring: the pictures by the judging networks, and report.json's content.
        writing: report and pictures.
        by_attacker: see `seconds_by_attacker`; of stored attacks what they took when they ran.
    """

    attacking: float
    measuring: float
    writing: float
    by_attacker: Mapping[str, float] = dataclasses.field(default_factory=dict)

    @property
    def total(self) -> float:
        """Of the whole audit."""
        return self.attacking + self.measuring + self.writing


def measure_audit() -> dict[str, float]:
    """Shares of an audit's time, its growth, and how much faster a second command is."""
    base, more, larger = AuditSize(), AuditSize(faces=2 * FACES), AuditSize(side=2 * SIDE)
    with tempfile.TemporaryDirectory() as scratch:
        place = pathlib.Path(scratch)
        for side in (base.side, larger.side):
            warm = AuditSize(WARM_FACES, side, WARM_STEPS)
            timed_audit(warm, HALF, place / f"warm_{side}")
        half = timed_audit(base, HALF, place / "earlier")
        timed_audit(base, EARLIER, place / "earlier")
        cached = timed_audit(base, ALL, place / "earlier")
        whole = timed_audit(base, ALL, place / "whole")
        return figures(
            whole,
            cached=cached,
            half=half,
            more=timed_audit(more, ALL, place / "more"),
            larger=timed_audit(larger, ALL, place / "larger"),
        )


def figures(
    whole: Timed, *, cached: Timed, half: Timed, more: Timed, larger: Timed
) -> dict[str, float]:
    """The benchmark's figures from the seconds of its audits.

    Args:
        whole: the audit with nothing kept from an earlier one.
        cached: the same where an earlier one did all but one attacker.
        half: with half of the attackers.
        more: on twice the images.
        larger: on images of twice the side.
    """
    shares = {**whole.by_attacker, "measuring": whole.measuring, "report": whole.writing}
    return {
        "cached_audit_speedup": whole.total / cached.total,
        **{f"audit_seconds_share_{name}": part / whole.total for name, part in shares.items()},
        "audit_time_twice_the_images": more.total / whole.total,
        "audit_time_twice_the_side": larger.total / whole.total,
        "audit_time_twice_the_attackers": whole.total / half.total,
    }


def timed_audit(size: AuditSize, attackers: Sequence[str], workdir: pathlib.Path) -> Timed:
    """Audits an encoder and writes its report; what an earlier audit left in `workdir` is used.

    Preparing images and building the encoder do not count.
    """
    run = RunDirectory(workdir)
    prepared = experiment.load(size.config(workdir.parent / "images"), run)
    # Codes are kept beside the attacks: another audit's are not found.
    config = size.config(workdir / "cache", attackers)
    whole = dataclasses.replace(prepared, config=config)
    encoder = untrained(whole)
    started = time.perf_counter()
    settings = audits.audit_settings(whole.config)
    context = audits.context(whole, encoder, photographs=False)
    attacked = audit.attack_all(settings, whole.images, whole.parts, context)
    attacked_at = time.perf_counter()
    report = audit.judge(settings, whole.images, context, attacked, None)
    judged_at = time.perf_counter()
    audits.write_files(whole, report, has_reference=False, photographs=False)
    return Timed(
        attacking=attacked_at - started,
        measuring=judged_at - attacked_at,
        writing=time.perf_counter() - judged_at,
        by_attacker=seconds_by_attacker(attacked),
    )


def untrained(found: Experiment) -> AuditedEncoder:
    """An encoder with random weights, the same ones each time, and its task head."""
    config = found.config
    keras.utils.set_random_seed(config.seed)
    encoder, task_head = architectures.build_encoder_and_task_head(
        config.encoder,
        image_size=config.image_size,
        cut=config.cut,
        code_channels=config.code_channels,
        num_attributes=len(found.images.attribute_names),
    )
    return audited.trained_encoder(
        encoder, task_head, None, channel=Channel(), words="an encoder with random weights"
    )


def seconds_by_attacker(attacked: Attacked) -> dict[str, float]:
    """Attacker -> seconds of its attacks; "identity": of all attacks on identity."""
    seconds: dict[str, float] = {}
    for task in attacked.tasks:
        taken = attacked.store.facts(task.name)["seconds"]
        seconds[task.attacker] = seconds.get(task.attacker, 0.0) + taken
    seconds["identity"] = sum(
        result.seconds for results in attacked.predictions.results.values() for result in results
    )
    return seconds
