"""Data: where images come from and how they are split."""

import dataclasses

from arl_tf.config.choices import FITS, TASK_KINDS
from arl_tf.config.option import option


@dataclasses.dataclass(frozen=True)
class DataGroup:
    """Data: where images come from and how they are split."""

    dataset: str = option(
        "faces",
        "Data: 'faces' (drawn faces; no files needed), 'celeba' (a folder in CelebA's file layout,"
        " see --data_dir), 'folder' (a folder of images for each class, or one with a"
        " metadata.csv), 'numpy' (an .npz file of images and labels) or 'tfds:NAME' (a TensorFlow"
        " Datasets builder with an attribute dictionary, such as tfds:celeb_a, or with a class"
        " label, such as tfds:cifar10). docs/train_on_your_images.md describes the layouts.",
        group="data",
        attack_identity=True,
        shared="model",
    )
    data_dir: str = option(
        "",
        "Folder of the data: CelebA layout, class folders or a metadata.csv, or tfds' data_dir;"
        " the file itself for --dataset=numpy.",
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
        "Side of the square images that the networks see, in pixels; a multiple of 32.",
        group="data",
        low=32,
        high=512,
        shared="model",
    )
    fit: str = option(
        "crop",
        "How an image that is not square becomes square: crop takes the largest square in the"
        " centre, pad puts the whole image on a black square. Training, audit, export and devices"
        " do the same.",
        group="data",
        choices=FITS,
        shared="model",
    )
    num_faces: int = option(6000, "Faces to draw (--dataset=faces).", group="data", low=60)
    images_per_identity: int = option(
        4, "Drawn images of each person (--dataset=faces).", group="data", low=1, high=1000
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
        " shows what an attacker gains who knows some of the private people.",
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
        "Share of X1's and of X2's images that are set aside, by person, for validation and early"
        " stopping.",
        group="data",
        low=0.02,
        high=0.5,
    )
    task_attributes: str = option(
        "",
        "Attributes that the task head reads, comma-separated; empty: all. With a minus before each"
        " name, such as -Male,-Young: all but these, which --held_out_attributes=Male,Young says"
        " too. The audit tries to read the attributes outside the task from the code: by probes,"
        " and from few labelled codes (later tasks).",
        group="data",
        attack_identity=True,
        shared="model",
    )
    task_kind: str = option(
        "auto",
        "What the labels of --dataset=folder or numpy are: multi_label (yes or no for each"
        " attribute), single_label (one class), regression (numbers); auto: decided by the labels."
        " Whole numbers in one column of a table may be classes or amounts: say which.",
        group="data",
        choices=("auto", *TASK_KINDS),
        attack_identity=True,
        shared="model",
    )
    label_columns: str = option(
        "",
        "Columns of metadata.csv that hold the task's labels, comma-separated; empty: all but"
        " file_name and the group. Other columns of yes or no are attributes outside the task,"
        " which the audit tries to read from the code.",
        group="data",
        attack_identity=True,
        shared="model",
    )
    group_column: str = option(
        "",
        "Column of metadata.csv that says who or what is on the image: a person, a patient, a room."
        " No group is in two parts of the data. Empty: the column 'group', where there is one.",
        group="data",
        attack_identity=True,
        shared="model",
    )
    identity_measures: str = option(
        "auto",
        "Whether identity networks compare faces in the audit: on, off, or auto. auto means on for"
        " data that are known to show faces (faces, celeba, tfds with attributes, recorded codes)."
        " Use on for photographs of faces in a folder of your own.",
        group="data",
        choices=("auto", "on", "off"),
        attack_identity=True,
        shared="audit",
    )
    max_bad_images: float = option(
        0.01,
        "Share of unreadable or missing images that are skipped; more is an error.",
        group="data",
        low=0,
        high=1,
    )
