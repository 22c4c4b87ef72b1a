"""Audit: what is audited, by which attackers, against what."""

import dataclasses

from arl_tf.config.choices import AUDIT_LEVELS
from arl_tf.config.option import option


@dataclasses.dataclass(frozen=True)
class AuditGroup:
    """Audit: what is audited, by which attackers, against what."""

    audit_split: str = option(
        "test",
        "What the audit measures on: test (T), or validation (parts of X1 and X2; choose settings"
        " there, not on T).",
        group="run",
        topic="audit",
        choices=("test", "validation"),
        attack_identity=True,
    )
    audit: str = option(
        "standard",
        "Which attackers attack the codes: quick (minutes; about 200 test images, and decoders"
        " train a sixth of --attacker_steps), standard, or full (hours).",
        group="audit",
        choices=AUDIT_LEVELS,
        shared="audit",
    )
    attackers: str = option(
        "",
        "Names of the attackers to run instead of those of --audit, comma-separated. The report"
        " says which ones were left out.",
        group="audit",
        one_audit=True,
    )
    audit_seeds: int = option(
        1,
        "How many seeds each trained attacker is run with. The one with the best held-out loss"
        " counts; the report gives the spread.",
        group="audit",
        low=1,
        high=100,
        shared="audit",
    )
    reference: str = option(
        "",
        "Run directory of an audited unprotected encoder. The report needs it to compute the"
        " leakage. 'auto' trains and audits one with the same settings and --defence=none, and"
        " keeps it in --cache_dir.",
        group="audit",
        path=True,
        audited_encoder=True,
    )
    codes: str = option(
        "",
        "Audit recorded codes instead of a run's encoder: an .npz file with codes, images, and"
        " optionally labels, names, identities, logits (docs/audit_your_encoder.md).",
        group="audit",
        path=True,
        audited_encoder=True,
    )
    encoder_saved_model: str = option(
        "",
        "Audit the encoder of this SavedModel (image uint8 -> code) instead of a run's.",
        group="audit",
        path=True,
        audited_encoder=True,
    )
    encoder_tflite: str = option(
        "",
        "Audit the encoder of this .tflite file (image float32 [1, S, S, 3] -> code) instead of a"
        " run's. White-box attackers need its float form beside it: --encoder_saved_model.",
        group="audit",
        path=True,
        audited_encoder=True,
    )
    task_head_saved_model: str = option(
        "",
        "The task head that belongs to --encoder_saved_model or --encoder_tflite (code -> logits);"
        " without it the audit fits one on X1.",
        group="audit",
        path=True,
        audited_encoder=True,
        attack_identity=True,
    )
    trust_encoder: bool = option(
        False,
        "Load the SavedModels of --encoder_saved_model and --task_head_saved_model although the run"
        " did not export them. A SavedModel is a program. It runs in a process of its own; Linux"
        " 5.13 and later keep this process from your files, other systems do not. Give this flag"
        " only if you know where the SavedModel comes from. Later commands do not take it over.",
        group="run",
        topic="audit",
    )
    channel_clip: float = option(
        0.0,
        "Audit the code as a deployment sends it: with values limited to this range around 0; 0:"
        " not limited.",
        group="audit",
        low=0,
        unprotected=0.0,
        audited_encoder=True,
        one_audit=True,
    )
    channel_levels: int = option(
        0,
        "Audit the code as a deployment sends it: with values rounded to so many levels within"
        " --channel_clip; 0: not rounded.",
        group="audit",
        low=0,
        high=65536,
        unprotected=0,
        audited_encoder=True,
        one_audit=True,
    )
    channel_noise: float = option(
        0.0,
        "Audit the code as a deployment sends it: with Gaussian noise of this standard deviation,"
        " drawn anew for every code; 0: none.",
        group="audit",
        low=0,
        unprotected=0.0,
        audited_encoder=True,
        one_audit=True,
    )
    codes_per_photo: int = option(
        1,
        "How many codes of each photo the attackers get. They average the codes, which removes part"
        " of the noise of --code_noise or --channel_noise; where noise drops values, they take each"
        " from a code that has left it. This report has a folder of its own,"
        " beside that of single codes.",
        group="run",
        topic="audit",
        low=1,
        high=4096,
        audited_encoder=True,
    )
    audit_share: int = option(
        0,
        "Which share of a divided code the attackers get, from 1 to the number of servers of"
        " --defence=distributed: what one server sees. 0: all shares, which servers have that work"
        " together. The report of a share has a folder of its own.",
        group="run",
        topic="audit",
        low=0,
        high=64,
        audited_encoder=True,
    )
    attacker_queries: int = option(
        8,
        "How often attackers without the inside of a noisy encoder ask it for the code of each"
        " public image. From the answers they estimate mean codes and the noise of every value; 1:"
        " they learn nothing of the noise.",
        group="audit",
        low=1,
        high=1024,
        attack_identity=True,
    )
    attacker_dataset: str = option(
        "",
        "Another data set (as --dataset) for attackers that have public images of another source"
        " alone, or beside X2; empty: these attackers are not tested.",
        group="audit",
        attack_identity=True,
        shared="audit",
    )
    attacker_data_dir: str = option(
        "",
        "Folder of --attacker_dataset (as --data_dir).",
        group="audit",
        path=True,
        attack_identity=True,
    )
    report_originals: bool = option(
        False,
        "Embed original test photos in report.html. Drawn faces are embedded in any case.",
        group="run",
        topic="audit",
    )
    attacker_width: int = option(
        64,
        "Width of the audit's decoders (see --decoder_width).",
        group="audit",
        low=4,
        attack_identity=True,
        shared="audit",
    )
    attacker_depth: int = option(
        2,
        "Residual blocks of the audit's decoders for each resolution.",
        group="audit",
        low=0,
        high=8,
        attack_identity=True,
        shared="audit",
    )
    attacker_steps: int = option(
        1500,
        "Most training steps of the audit's decoders. A decoder stops earlier when further steps"
        " gain less than 1 %.",
        group="audit",
        low=1,
        attack_identity=True,
        shared="audit",
    )
    attacker_batch_size: int = option(
        32,
        "Public images in an attacker's step.",
        group="audit",
        low=1,
        attack_identity=True,
        shared="audit",
    )
    attacker_learning_rate: float = option(
        2e-3,
        "Learning rate of the attackers' decoders. It is constant until further steps gain less"
        " than 1 % or run out, and then falls by a cosine.",
        group="audit",
        low=1e-8,
        high=1,
        attack_identity=True,
        shared="audit",
    )
    protected_attributes: str = option(
        "",
        "What the audit checks: attributes outside the task, comma-separated, that a code must not"
        " tell beyond the task output. The report says for each attribute whether the code tells"
        " more of it than the task output does. --require can limit the largest gain in MCC:"
        " protected_gain<=0.05. This flag changes no training; --private_attributes names what the"
        " training hides.",
        group="audit",
        defence=True,
    )
    near_duplicates: int = option(
        0,
        "Attack so many shots of each photo together: cut, shifted, lit and recompressed a little"
        " differently. The report compares shots with noise of their own, with half of it shared,"
        " as --noise_key_by=similar of the device makes them, and with all of it shared. 0: none."
        " Needs a noisy encoder whose inside is at hand.",
        group="audit",
        low=0,
        high=64,
        defence=True,
    )
    bootstrap_samples: int = option(
        1000,
        "Bootstrap resamples (of people) behind each 95 % interval.",
        group="audit",
        low=100,
    )
