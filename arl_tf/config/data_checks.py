"""What the settings of data may not be together; called by `checks.check_combinations`."""

from typing import Any

from arl_tf.config.conditions import Condition, parse_conditions

TFDS_PREFIX = "tfds:"
# models/pretrained/drawn_identity.py fits its network on the drawn faces of this seed: as data they
# would be known to the judge. The number stands there too: neither module may import the other.
RESERVED_FACES_SEED = 730_515_811
# What --data_dir names, of the data sets that need it.
PLACES = {
    "celeba": "DIR, the folder that holds list_attr_celeba.txt",
    "folder": "DIR, the folder that holds a metadata.csv or class folders",
    "numpy": "FILE.npz, the file that holds images and labels",
}
DATASETS = ("faces", *PLACES)
# Data sets that labels are read from as --task_kind says, and that are not known to be of faces.
OWN = ("folder", "numpy")
# Figures of utility that only some kinds of task have.
OF_CLASSES, OF_VALUES = ("mean_mcc", "accuracy", "roc_auc"), ("mean_r2", "mae")
# Stages that rank encoders by face similarity.
RANKED_BY_FACES = ("sweep", "study", "bench")
# What begins the names of measures that identity networks make.
OF_IDENTITY = ("face_similarity", "reid_", "identity_embedding", "embedding_")


def comma_separated(text: str) -> tuple[str, ...]:
    """The non-empty names in a comma-separated list."""
    return tuple(filter(None, (name.strip() for name in text.split(","))))


def check_dataset(dataset: str, data_dir: str, prefix: str = "") -> None:
    """Refuses an unknown data set, and one without its folder or file."""
    known = dataset in DATASETS or dataset.startswith(TFDS_PREFIX)
    if not known or dataset == TFDS_PREFIX:
        raise ValueError(
            f"--{prefix}dataset must be {', '.join(DATASETS)} or tfds:NAME; got {dataset!r}."
        )
    if dataset in PLACES and not data_dir:
        raise ValueError(
            f"--{prefix}dataset={dataset} needs --{prefix}data_dir={PLACES[dataset]}; got none."
        )


def check_data(config: Any) -> None:
    """Refuses an unknown data set, one without its folder, and what the judge of identity knows."""
    check_dataset(config.dataset, config.data_dir)
    if config.public_data_dir and not config.public_dataset:
        raise ValueError(
            f"--public_data_dir={config.public_data_dir} needs --public_dataset (celeba for a"
            " folder in CelebA's layout)."
        )
    if config.public_dataset:
        check_dataset(config.public_dataset, config.public_data_dir, "public_")
        if (config.public_dataset, config.public_data_dir) == (config.dataset, config.data_dir):
            raise ValueError(
                f"--public_dataset={config.public_dataset} is --dataset itself, T included: name"
                " another data set, or use --public_share and --public_overlap."
            )
    if config.dataset == "faces" and config.data_dir:
        raise ValueError(
            f"--data_dir={config.data_dir!r} is not read with --dataset=faces, which draws its"
            " images; add --dataset=celeba, or leave --data_dir out."
        )
    if config.dataset == "faces" and config.seed == RESERVED_FACES_SEED:
        raise ValueError(
            f"--seed={config.seed} is reserved for the network that judges identity; take another."
        )
    if config.image_size % 32:
        near = max(32, round(config.image_size / 32) * 32)
        raise ValueError(
            f"--image_size must be a multiple of 32, got {config.image_size}; try {near}."
        )
    check_labels(config)
    check_outside_task(config)
    check_identity(config)
    check_kind(config)


def check_labels(config: Any) -> None:
    """Refuses settings of labels where no data set takes them."""
    given = {config.dataset, config.public_dataset, config.attacker_dataset}
    for name in ("label_columns", "group_column"):
        if getattr(config, name) and "numpy" in given and "folder" not in given:
            raise ValueError(
                f"--{name}={getattr(config, name)} names a column of a metadata.csv; of an .npz"
                " file the arrays labels, names and groups are read. Leave it out."
            )
    if given & set(OWN):
        return
    for name, nothing in (("task_kind", "auto"), ("label_columns", ""), ("group_column", "")):
        if getattr(config, name) != nothing:
            raise ValueError(
                f"--{name}={getattr(config, name)} is for --dataset={' or '.join(OWN)}, got"
                f" --dataset={config.dataset}; --task_attributes chooses among attributes."
            )


def check_outside_task(config: Any) -> None:
    """Refuses attributes to hide, or to check, that are the task's."""
    if config.protected_attributes and not (config.task_attributes or config.label_columns):
        raise ValueError(
            f"--protected_attributes={config.protected_attributes} must be outside the task, which"
            " has all attributes: name those of the task with --task_attributes or, of a"
            " metadata.csv, with --label_columns."
        )
    task = set(comma_separated(config.task_attributes))
    for flag, deed in (
        ("private_attributes", "the training can't hide what the task reads"),
        ("protected_attributes", "a code is there to tell what the task reads"),
    ):
        shared = [name for name in comma_separated(getattr(config, flag)) if name in task]
        if shared:
            raise ValueError(
                f"--{flag} and --task_attributes both name {', '.join(shared)}: {deed}; leave it"
                " out of one of them."
            )


def check_identity(config: Any) -> None:
    """Refuses conditions and rankings by identity measures that are off."""
    auto_off = config.identity_measures == "auto" and config.dataset in OWN and not config.codes
    if config.identity_measures != "off" and not auto_off:
        return
    check_ranking(config)
    for flag, condition in conditions_of(config):
        if condition.measure.removeprefix("leakage.").startswith(OF_IDENTITY):
            raise ValueError(
                f"--{flag}={getattr(config, flag)}: {condition.measure} needs identity"
                f" networks, which are off (--identity_measures={config.identity_measures},"
                f" --dataset={config.dataset}). Use feature_similarity, or, for photographs of"
                " faces, --identity_measures=on."
            )


def check_ranking(config: Any) -> None:
    """Refuses stages that rank encoders by face similarity; called where it is not measured."""
    for stage in RANKED_BY_FACES:
        if stage in config.stages.split(","):
            raise ValueError(
                f"--stages={stage} compares encoders by the leakage of face similarity, which is"
                f" off (--identity_measures={config.identity_measures},"
                f" --dataset={config.dataset}); run encoders one by one, or, for photographs of"
                " faces, use --identity_measures=on."
            )


def check_kind(config: Any) -> None:
    """Refuses figures and weights that the kind of task has not, and studies of regressions."""
    if config.label_weights != "none" and config.task_kind in ("single_label", "regression"):
        raise ValueError(
            f"--label_weights={config.label_weights}: --task_kind={config.task_kind} has no"
            " positives and negatives to balance; use --label_weights=none."
        )
    for stage in ("study", "bench"):
        if config.task_kind == "regression" and stage in config.stages.split(","):
            raise ValueError(
                f"--stages={stage} compares mean MCCs, but --task_kind=regression has none; use"
                " --stages=sweep, which compares the mean R²."
            )
    others = OF_CLASSES if config.task_kind == "regression" else OF_VALUES
    for flag, condition in conditions_of(config):
        if config.task_kind != "auto" and condition.measure in others:
            raise ValueError(
                f"--{flag}={getattr(config, flag)}: --task_kind={config.task_kind} has no"
                f" {condition.measure}; utility is the one number of every kind."
            )


def conditions_of(config: Any) -> list[tuple[str, Condition]]:
    """(flag, condition) of --require and --target; those that can't be read are refused later."""
    found = []
    for flag in ("require", "target"):
        try:
            conditions = parse_conditions(getattr(config, flag))
        except ValueError:
            continue  # Refused elsewhere, with the flag's name.
        found += [(flag, condition) for condition in conditions]
    return found
