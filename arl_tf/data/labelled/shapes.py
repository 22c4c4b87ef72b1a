"""Drawn shapes in rooms: example images that need no photographs, with labels of every kind."""

import dataclasses

import numpy as np

SHAPES = ("disc", "square", "triangle")
# Not square, so that --fit has something to do.
HEIGHT, WIDTH = 48, 64
SMALLEST, LARGEST, LARGE = 0.15, 0.4, 0.28
STRIPE = 4


@dataclasses.dataclass(frozen=True)
class Scenes:
    """Images with all that is known of them.

    Attributes:
        images: uint8 [N, HEIGHT, WIDTH, 3].
        shapes: int64 [N], numbers of SHAPES.
        sizes: float64 [N], half the shape's width as a share of HEIGHT, SMALLEST to LARGEST.
        striped: bool [N].
        rooms: int64 [N]; images of one room have one background and one lamp.
    """

    images: np.ndarray
    shapes: np.ndarray
    sizes: np.ndarray
    striped: np.ndarray
    rooms: np.ndarray

    @property
    def large(self) -> np.ndarray:
        """Whether a shape is larger than LARGE; bool [N]."""
        return self.sizes > LARGE


def scenes(count: int, images_per_room: int, seed: int) -> Scenes:
    """Draws images, room by room; the same arguments give the same images.

    Args:
        count: N >= 1.
        images_per_room: images of one room, one behind the other.
        seed: of rooms and shapes.

    Raises:
        ValueError: a number below 1.
    """
    if min(count, images_per_room) < 1:
        raise ValueError(
            f"Images and images of a room must be >= 1, got {count}, {images_per_room}."
        )
    rng = np.random.default_rng(seed)
    rooms = np.arange(count) // images_per_room
    # Every shape stands in every room, as far as there are images.
    shapes = np.arange(count) % len(SHAPES)
    sizes = rng.uniform(SMALLEST, LARGEST, count)
    striped = rng.random(count) < 0.5
    walls = rng.uniform(40, 140, (rooms[-1] + 1, 2, 3))
    images = [
        drawn(int(shape), float(size), bool(stripes), walls[room], rng)
        for shape, size, stripes, room in zip(shapes, sizes, striped, rooms, strict=True)
    ]
    return Scenes(np.stack(images), shapes, sizes, striped, rooms)


def drawn(
    shape: int, size: float, striped: bool, wall: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """One image, uint8 [HEIGHT, WIDTH, 3]; `wall` float [2, 3], its colours at top and bottom."""
    rows, columns = np.indices((HEIGHT, WIDTH), np.float64)
    share = (rows / (HEIGHT - 1))[..., None]
    image = (1 - share) * wall[0] + share * wall[1]
    radius = size * HEIGHT
    top = rng.uniform(radius, HEIGHT - radius)
    # In the part that a crop keeps.
    left = WIDTH / 2 + rng.uniform(-1, 1) * max(0.0, HEIGHT / 2 - radius)
    inside = covered(shape, rows - top, columns - left, radius)
    colour = rng.uniform(160, 255, 3)
    image[inside] = colour
    if striped:
        image[inside & (columns // STRIPE % 2 == 0)] = colour / 3
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def covered(shape: int, down: np.ndarray, right: np.ndarray, radius: float) -> np.ndarray:
    """Which pixels a shape covers; bool [HEIGHT, WIDTH], as `down` and `right` are.

    These are the pixels' distances from its centre, in pixels.
    """
    if SHAPES[shape] == "disc":
        return down**2 + right**2 <= radius**2
    box = (np.abs(down) <= radius) & (np.abs(right) <= radius)
    if SHAPES[shape] == "square":
        return box
    return box & (2 * np.abs(right) <= down + radius)
