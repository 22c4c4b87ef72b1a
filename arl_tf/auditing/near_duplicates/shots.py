"""Shots of a photo as a burst, a video or an editor makes them: cut, shifted, lit, recompressed."""

import dataclasses
import io
from collections.abc import Iterator

import numpy as np
from PIL import Image

from arl_tf.auditing.candidates.copies import each

# Of the side: how much a shot leaves out at most, and how far its centre moves at most.
MOST_CUT, MOST_SHIFT = 0.06, 0.03
MOST_LIGHT = 0.06
QUALITIES = (75, 96)
WORDS = (
    f"cut by up to {100 * MOST_CUT:.0f} % of the side, shifted by up to {100 * MOST_SHIFT:.0f} %,"
    f" brighter or darker by up to {100 * MOST_LIGHT:.0f} %, saved as JPEG of quality"
    f" {QUALITIES[0]} to {QUALITIES[1] - 1}"
)


@dataclasses.dataclass(frozen=True)
class Change:
    """What one shot does to every photo.

    Attributes:
        box: left, top, right, bottom of what is seen, as shares of the side; may reach beyond.
        light: factor of all values.
        quality: of JPEG.
    """

    box: tuple[float, float, float, float]
    light: float
    quality: int

    def of(self, images: np.ndarray) -> np.ndarray:
        """Images uint8 [N, S, S, 3] as this shot shows them; beyond the edge it is repeated."""
        side = images.shape[1]
        margin = int(np.ceil(MOST_SHIFT * side))
        left, top, right, bottom = (end * side + margin for end in self.box)
        raised = np.clip(np.arange(256) * self.light + 0.5, 0, 255).astype(np.uint8)

        def shot(picture: Image.Image) -> Image.Image:
            padded = np.pad(
                raised[np.asarray(picture)], ((margin,) * 2, (margin,) * 2, (0, 0)), "edge"
            )
            seen = Image.fromarray(padded).resize(
                (side, side), Image.Resampling.BILINEAR, box=(left, top, right, bottom)
            )
            buffer = io.BytesIO()
            seen.save(buffer, "JPEG", quality=self.quality)
            return Image.open(buffer)

        return each(images, shot)


def changes(count: int, seed: int) -> list[Change]:
    """The changes of `count` shots; the seed decides them, and all photos are changed alike."""
    rng = np.random.default_rng([seed, 311])
    drawn = []
    for _ in range(count):
        size = 1 - rng.uniform(0, MOST_CUT)
        left, top = (1 - size) / 2 + rng.uniform(-MOST_SHIFT, MOST_SHIFT, 2)
        box = (float(left), float(top), float(left + size), float(top + size))
        light, quality = rng.uniform(1 - MOST_LIGHT, 1 + MOST_LIGHT), rng.integers(*QUALITIES)
        drawn.append(Change(box, float(light), int(quality)))
    return drawn


def shots_of(images: np.ndarray, count: int, seed: int) -> Iterator[np.ndarray]:
    """`count` shots of each of uint8 [N, S, S, 3], one kind of shot after the other."""
    for change in changes(count, seed):
        yield change.of(images)
