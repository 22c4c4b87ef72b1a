"""Data: where images come from and how they are split."""

import dataclasses

from arl_tf.config.option import option


@dataclasses.dataclass(frozen=True)
class DataGroup:
    """Data: where images come from and how they are split."""

    dataset: str = option(
        "faces",
        "Data: 'faces' (procedural, embedded), 'celeba' (a folder in CelebA's file layout, see"
        " --data_dir) or 'tfds:NAME' (a TensorFlow Datasets builder with an attribute dictionary,"
        " such as tfds:celeb_a).",
        group="data",
        attack_identity=True,
        shared="model",
    )
    data_dir: str = option(
        "",
        "Folder of the data: CelebA layout, or tfds' data_dir.",
        group="data",
        path=True,
        compared=False,
    )
    tfds_download: bool = option(
        False,
        "Let tensorflow-datasets download the data set. Nothing is downloaded otherwise.",
        group="run",
        topic="data",
    )
    image_size: int = option(
        64,
        "Side of the square images the networks see, pixels; a multiple of 32.",
        group="data",
        low=32,
        high=512,
        shared="model",
    )
    num_faces: int = option(
        6000, "Procedural images to draw (--dataset=faces).", group="data", low=60
    )
    images_per_identity: int = option(
        4, "Procedural images of each identity (--dataset=faces).", group="data", low=1, high=1000
    )
    private_fraction: float = option(
        0.6, "Share of images in X1 (private: encoder and task).", group="data", low=0.01, high=0.98
    )
    public_fraction: float = option(
        0.25,
        "Share of images in X2 (public: adversary and attackers). The rest is T, the test set.",
        group="data",
        low=0.01,
        high=0.98,
        shared="audit",
    )
    private_images: int = option(
        0, "Images in X1 as a number; 0: --private_fraction.", group="data", low=0
    )
    public_images: int = option(
        0,
        "Images in X2 as a number; 0: --public_fraction.",
        group="data",
        low=0,
        shared="audit",
    )
    private_share: float = option(
        1.0,
        "Share of the people in X1's training part whose images the encoder and the task head learn"
        " from. The other images of that part are not used. The validation parts and T do not"
        " change.",
        group="data",
        low=0.001,
        high=1,
    )
    public_share: float = option(
        1.0,
        "Share of the people in X2's training part whose images the adversary and the attackers"
        " learn from. The validation parts and T do not change.",
        group="data",
        low=0.001,
        high=1,
        shared="audit",
    )
    public_overlap: float = option(
        0.0,
        "Share of X2's training part that is replaced by images of people of X1's training part. It"
        " shows what an adversary gains who knows some of the private people.",
        group="data",
        low=0,
        high=1,
        shared="audit",
    )
    public_dataset: str = option(
        "",
        "Another data set (as --dataset) that replaces X2's training part, with at most as many"
        " images. The test images do not change. Empty: X2 is of --dataset.",
        group="data",
        shared="audit",
    )
    public_data_dir: str = option(
        "",
        "Folder of --public_dataset (as --data_dir).",
        group="data",
        path=True,
        compared=False,
    )
    validation_fraction: float = option(
        0.1,
        "Share of X1's and of X2's images set aside (by identity) for validation and early"
        " stopping.",
        group="data",
        low=0.02,
        high=0.5,
    )
    task_attributes: str = option(
        "",
        "Attributes that the task head reads, comma-separated; empty: all. With a minus before each"
        " name, such as -Male,-Young: all but these. The audit tries to read the attributes outside"
        " the task from the code: at once (probes), and from few labelled codes (later tasks).",
        group="data",
        attack_identity=True,
        shared="model",
    )
    max_bad_images: float = option(
        0.01,
        "Share of unreadable or missing images that are skipped; more is an error.",
        group="data",
        low=0,
        high=1,
    )
