"""How fast photos are drawn, and read from a folder, on this machine."""

import contextlib
import io
import pathlib

import tensorflow_datasets as tfds
from PIL import Image

from arl_tf.data import celeba_folder, preprocessing
from arl_tf.data.faces import generation
from arl_tf.data.pictures import reader
from arl_tf.experiments.speed.timing import seconds_of
from arl_tf.utils.cores import num_threads

DRAWN_FACES = 1500


def measure_drawing() -> dict[str, float]:
    """Milliseconds that a procedural face of 64 pixels takes (one thread), best of three."""
    generation.generate_faces(64, 64, seed=0)
    best = min(seconds_of(lambda: generation.generate_faces(512, 64, seed=0)) for _ in range(3))
    return {"procedural_face_ms": best / 512 * 1e3}


def drawn_folder(folder: pathlib.Path) -> pathlib.Path:
    """Writes procedural faces as a CelebA-layout folder of JPEGs."""
    drawn = generation.generate_faces(DRAWN_FACES, 128, seed=1)
    (folder / celeba_folder.IMAGE_FOLDER).mkdir(parents=True)
    rows = [str(DRAWN_FACES), " ".join(generation.ATTRIBUTE_NAMES)]
    for number, (image, labels) in enumerate(zip(drawn.images, drawn.attributes, strict=True)):
        name = f"{number:06d}.jpg"
        Image.fromarray(image[:, 12:116]).save(
            folder / celeba_folder.IMAGE_FOLDER / name, quality=92
        )
        rows.append(" ".join([name, *("1" if label else "-1" for label in labels)]))
    (folder / celeba_folder.ATTRIBUTE_FILE).write_text("\n".join(rows) + "\n")
    return folder


class LocalFaces(tfds.core.GeneratorBasedBuilder):
    """A CelebA-layout folder as a tensorflow-datasets builder: the other way to read it."""

    VERSION = tfds.core.Version("1.0.0")
    folder: pathlib.Path

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(
                {"image": tfds.features.Image(shape=(None, None, 3))}
            ),
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        index = celeba_folder.read_folder_index(self.folder)
        for name in index.files:
            yield name, {"image": str(self.folder / celeba_folder.IMAGE_FOLDER / name)}


def plain_reading(
    folder: pathlib.Path, image_size: int, most: int | None = None
) -> tuple[int, float]:
    """(photos, seconds) of decoding, cropping and resizing a folder as training does.

    The best of two passes after one that does not count.

    Args:
        folder: photos in CelebA's layout.
        image_size: side of the images, pixels.
        most: how many photos at most; None: all.
    """
    index = celeba_folder.read_folder_index(folder)
    paths = [str(folder / celeba_folder.IMAGE_FOLDER / name) for name in index.files[:most]]
    prepare = preprocessing.preprocessing(image_size)

    def read() -> int:
        return sum(len(chunk.rows) for chunk in reader.read_files(paths, prepare))

    read()
    return len(paths), min(seconds_of(read) for _ in range(2))


def measure_readers(folder: pathlib.Path, scratch: pathlib.Path) -> dict[str, float]:
    """A folder read by our plain tf.data reader, and through a tensorflow-datasets builder.

    Each once and again.
    """

    def read_builder():
        dataset = builder.as_dataset(split="train")
        dataset = dataset.map(
            lambda example: preprocessing.preprocess(example["image"], 64),
            num_parallel_calls=num_threads(),
        )
        return sum(len(images) for images in dataset.batch(256).as_numpy_iterator())

    count, plain = plain_reading(folder, 64)
    LocalFaces.folder = folder
    builder = LocalFaces(data_dir=str(scratch))
    tfds.disable_progress_bar()
    # It says on stdout what it does, where --json promises one object.
    with contextlib.redirect_stdout(io.StringIO()):
        preparing = seconds_of(builder.download_and_prepare)
    again = min(seconds_of(read_builder) for _ in range(2))
    return {
        "plain_reader_images_per_second": count / plain,
        "tfds_first_pass_over_plain_reader": (preparing + again) / plain,
        "tfds_later_pass_over_plain_reader": again / plain,
    }
