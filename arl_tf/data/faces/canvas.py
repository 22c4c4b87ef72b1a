"""The canvas faces are drawn on: planes of colour, head coordinates and how parts are laid on them.

Coordinates. `u` (right) and `v` (down) measure the head: 1 is half a head's width, the origin lies
between the eyes, the chin near v = 1.7. `fu, fv` are the same on the turned surface, so features
slide and foreshorten with the pose. Edges are signed distances in those units, turned into coverage
by clipping at half a pixel. Everything is elementwise over [n, h, w], so a picture does not depend
on the pictures drawn beside it.
"""

import functools
from collections.abc import Callable

import numpy as np

_HEAD_SCALE = 0.228  # one head unit, in frame widths
_EYE_LINE = 0.485  # height of the eyes in the frame, from the top
_TABLE = 256

Traits = dict[str, np.ndarray]
Window = tuple[slice, slice, slice]


def select(condition: np.ndarray, yes: np.ndarray | float, no: np.ndarray | float) -> np.ndarray:
    """np.where that keeps numbers float32: one float64 doubles the cost of all that follows.

    Arrays of shapes that broadcast to [n, h, w].
    """
    yes, no = (np.float32(e) if isinstance(e, float) else e for e in (yes, no))
    return np.where(condition, yes, no)


def fraction(x: np.ndarray) -> np.ndarray:
    """Gives x modulo 1, several times faster than the operator; any shape."""
    return x - np.floor(x)


def smooth(x: np.ndarray) -> np.ndarray:
    """Gives 0 below 0, 1 above 1, smooth between; any shape."""
    x = np.clip(x, 0.0, 1.0)
    return x * x * (3.0 - 2.0 * x)


def bump(
    x: np.ndarray, y: np.ndarray, width: np.ndarray | float, height: np.ndarray | float
) -> np.ndarray:
    """Gives 1 at the origin, 0 outside the ellipse, smooth between; [n, h, w], by broadcasting."""
    x, y = x / width, y / height
    rest = 1.0 - x * x - y * y
    rest = np.clip(rest, 0.0, 1.0, out=rest)
    rest *= rest
    return rest


def ramp(position: np.ndarray, *stops: tuple[float, ...]) -> list[np.ndarray]:
    """Three colour planes interpolated between evenly spaced stops, red, green and blue of each.

    `position` is limited to [0, 1]; planes are float32 of its shape.
    """
    position = np.clip(position, 0.0, 1.0) * (len(stops) - 1)
    colour = []
    for channel in range(3):
        value = np.full_like(position, stops[0][channel])
        for i in range(1, len(stops)):
            value = value + np.clip(position - (i - 1), 0, 1) * (
                stops[i][channel] - stops[i - 1][channel]
            )
        colour.append(value.astype(np.float32))
    return colour


def mix_colours(first: list, second: list, weight: np.ndarray | float) -> list[np.ndarray]:
    """Goes from the first colour (weight 0) to the second (weight 1), plane by plane.

    Planes and weights are numbers or arrays of shapes that broadcast to [n, h, w].
    """
    return [a + weight * (b - a) for a, b in zip(first, second, strict=True)]


def dull(colour: list[np.ndarray]) -> list[np.ndarray]:
    """Dyed cloth: a colour half of the way to its own gray, and neither black nor white.

    Three planes in [0, 1], of any shape; the result's are in [0.05, 0.9].
    """
    gray = (colour[0] + colour[1] + colour[2]) / 3.0
    return [0.05 + 0.85 * (gray + 0.5 * (c - gray)) for c in colour]


@functools.cache
def _texture() -> np.ndarray:
    """float32 [T * T], a tiling field of smooth noise about 0 (about +-1)."""
    noise = np.random.Generator(np.random.PCG64(1)).standard_normal((_TABLE, _TABLE))
    field = np.zeros_like(noise)
    for radius in (2, 5, 14):
        octave = noise
        for axis in (0, 1):
            octave = sum(np.roll(octave, shift, axis) for shift in range(-radius, radius + 1))
            octave = sum(np.roll(octave, shift, axis) for shift in range(-radius, radius + 1))
        field += octave / octave.std()
    return (field / (2.0 * field.std())).astype(np.float32).ravel()


class Face:
    """A chunk of pictures being drawn: planes, coordinates and what several parts need.

    Args:
        t: traits, name -> float32 [n, 1, 1].
        size: height and width of the pictures in pixels.
    """

    def __init__(self, t: Traits, size: int):
        self.t, self.size = t, size
        self.count = len(t["male"])
        grid = ((np.arange(size, dtype=np.float32) + 0.5) / size - 0.5).astype(np.float32)
        self.x, self.y = grid[None, None, :], grid[None, :, None]
        self.planes = [np.empty((self.count, size, size), np.float32) for _ in range(3)]
        self._place()
        self._shape()
        self._colour()

    def _place(self) -> None:
        """Head coordinates of every pixel."""
        t = self.t
        scale = _HEAD_SCALE * (1.0 + 0.03 * t["scale"])
        x = self.x - 0.012 * t["shift_x"]
        y = self.y - (_EYE_LINE - 0.5) - 0.012 * t["shift_y"]
        sine = 0.055 * t["roll"]
        cosine = np.sqrt(1.0 - sine * sine)
        self.u = (x * cosine + y * sine) / scale
        self.v = (y * cosine - x * sine) / scale
        self.sharp = scale * self.size  # pixels per head unit
        self.mouth_v = 1.02 + 0.045 * t["mouth_height"] + 0.03 * t["nose_length"]
        self.eye = 0.45 + 0.04 * t["eye_spacing"], 0.02 + 0.035 * t["eye_height"]
        self.light = 1.3 * t["light_x"] - 0.65, -0.15 - 0.5 * t["light_y"]

    def _shape(self) -> None:
        """The outline, the turned surface and the hair line."""
        t, u, v = self.t, self.u, self.v
        self.width = 1.0 + 0.065 * t["head_width"]
        self.top = 1.47 + 0.055 * t["head_height"]
        self.chin = 1.66 + 0.06 * t["chin_length"] + 0.02 * t["head_height"]
        below = v > 0
        q = v / select(below, self.chin, self.top)
        q2 = q * q
        taper = np.clip(0.27 - 0.05 * t["jaw_width"] - 0.03 * t["cheek_fullness"], 0.08, 0.5)
        cheeks = (0.03 + 0.03 * t["cheek_fullness"] + 0.03 * t["chubby"]) * bump(
            v - 0.85, 0.0, 0.95, 1.0
        )
        square = np.clip(0.35 + 0.12 * t["jaw_squareness"], 0.0, 0.75)
        half = select(below, self.width * (1.0 - taper * q2) + cheeks, self.width)
        across = u / np.maximum(half, 0.3)
        inside = across * across + q2 + select(below, square, 0.45) * (q2 * q2 - q2)
        self.radius = np.sqrt(inside)
        self.outline = self.radius - 1.0
        self.head = self.cover(self.outline * 1.1)
        dome = np.sqrt(np.maximum(1.0 - 0.92 * inside, 0.04))
        self.relief = 0.95 * dome
        self.turn, self.nod = 0.13 * t["yaw"], 0.05 * t["pitch"]
        self.fu = u - self.turn * dome
        self.fv = v - self.nod * dome

    def _colour(self) -> None:
        t = self.t
        skin = ramp(
            0.5 + t["skin_darkness"] / 5.0 + 0.05 * (0.5 - t["pale"]),
            *(
                (0.99, 0.86, 0.79),
                (0.95, 0.77, 0.66),
                (0.87, 0.65, 0.51),
                (0.69, 0.47, 0.34),
                (0.44, 0.28, 0.20),
            ),
        )
        warm = 0.012 * t["skin_warmth"]
        self.skin = [skin[0] + warm, skin[1], skin[2] - 1.5 * warm]
        tone = t["hair_darkness"]
        black = ramp(1.2 - tone / 2.5, (0.05, 0.045, 0.05), (0.13, 0.10, 0.09))
        brown = ramp(0.5 - tone, (0.24, 0.14, 0.085), (0.44, 0.28, 0.16))
        blond = ramp(-0.5 * tone - 0.2, (0.70, 0.53, 0.31), (0.93, 0.81, 0.58))
        red = ramp(0.4 - tone / 3.0, (0.46, 0.16, 0.07), (0.72, 0.34, 0.14))
        gray = ramp((t["age"] - 0.9) / 1.2, (0.38, 0.38, 0.39), (0.76, 0.76, 0.75))
        kinds = (
            (t["black"], black),
            (t["brown"], brown),
            (t["blond"], blond),
            (t["red"], red),
            (t["gray"], gray),
        )
        warm = t["hair_warmth"] * (1.0 - t["gray"])
        tints = 1.0 + 0.06 * warm, 1.0, 1.0 - 0.08 * warm
        self.hair = [
            k * sum(kind * colour[c] for kind, colour in kinds) for c, k in enumerate(tints)
        ]

    def only(self, which: np.ndarray, draw: Callable[["Face"], None]) -> None:
        """Draws a part on some of the pictures alone, where it would be invisible on most.

        `which` is [n, 1, 1]: not 0 for these pictures.
        """
        rows = np.flatnonzero(which)
        if len(rows) == 0:
            return
        some = _SomeFaces(self, rows)
        draw(some)
        for plane, part in zip(self.planes, some.planes, strict=True):
            plane[rows] = part

    def cover(self, distance: np.ndarray, soft: float = 0.0) -> np.ndarray:
        """Coverage [n, h, w] in [0, 1] of the inside of signed distances [n, h, w], head units.

        `soft` widens the edge, in the same units.
        """
        sharp = self.sharp if soft == 0.0 else 1.0 / (soft + 1.0 / self.sharp)
        inside = 0.5 - distance * sharp
        return np.clip(inside, 0.0, 1.0, out=inside)

    def window(self, left: float, right: float, top: float, bottom: float) -> Window:
        """Slices that hold a box of feature coordinates under every pose."""
        left, right, top, bottom = left - 0.29, right + 0.29, top - 0.12, bottom + 0.12
        tilt_x = 0.125 * max(abs(top), abs(bottom))
        tilt_y = 0.125 * max(abs(left), abs(right))
        edges = []
        for low, high, centre in (
            (top - tilt_y, bottom + tilt_y, _EYE_LINE),
            (left - tilt_x, right + tilt_x, 0.5),
        ):
            low, high = (
                e * _HEAD_SCALE * (1.07 if e * s > 0 else 0.93) for e, s in ((low, -1), (high, 1))
            )
            start, stop = (low + centre - 0.028) * self.size, (high + centre + 0.028) * self.size
            edges.append(slice(max(int(start), 0), min(int(stop) + 1, self.size)))
        return (slice(None), *edges)

    def surface(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Feature coordinates `fu, fv` [n, h, w] within a window, in arrays of their own.

        These are quicker to read.
        """
        return self.fu[window].copy(), self.fv[window].copy()

    def paint(self, alpha: np.ndarray, colour: list, window: Window = (slice(None),) * 3) -> None:
        """Lays a colour over the picture.

        `alpha` in [0, 1] and the three planes of `colour` are [n, h, w] of the window, by
        broadcasting.
        """
        for plane, value in zip(self.planes, colour, strict=True):
            part = plane[window]
            change = value - part
            change *= alpha
            part += change

    def shade(self, alpha: np.ndarray, colour: tuple, window: Window = (slice(None),) * 3) -> None:
        """Multiplies the picture by a colour where alpha is 1; arrays [n, h, w] as of `paint`."""
        for plane, value in zip(self.planes, colour, strict=True):
            factor = alpha * (value - 1.0)
            factor += 1.0
            plane[window] *= factor

    def lookup(self, window: Window, scale: float) -> np.ndarray:
        """Smooth noise about 0 that sticks to the face; float32 [n, h, w] of the window."""
        t = self.t
        column = ((self.fu[window] * scale + 8.0 + t["texture_u"]) * 97.0).astype(np.int32)
        row = ((self.fv[window] * scale + 8.0 + t["texture_v"]) * 97.0).astype(np.int32)
        return _texture().take((row & _TABLE - 1) * _TABLE + (column & _TABLE - 1))


class _SomeFaces(Face):
    """Some pictures of a chunk: takes their rows of what a part asks for, when it asks."""

    def __init__(self, chunk: Face, rows: np.ndarray):  # nothing is computed anew
        self._chunk, self._rows = chunk, rows
        self.t = _SomeTraits(chunk.t, rows)

    def __getattr__(self, name: str) -> object:
        value = _take(getattr(self._chunk, name), self._rows)
        setattr(self, name, value)
        return value


class _SomeTraits(dict):
    """Some rows of the traits, taken when they are first read."""

    def __init__(self, traits: Traits, rows: np.ndarray):
        super().__init__()
        self._traits, self._rows = traits, rows

    def __missing__(self, name: str) -> np.ndarray:
        value = self[name] = _take(self._traits[name], self._rows)
        return value


def _take(value: object, rows: np.ndarray) -> object:
    """Takes rows of an array [n, h, w] or of those in a list or tuple; leaves the rest alone."""
    if isinstance(value, list | tuple):
        return [_take(part, rows) for part in value]
    # Arrays of length 1 are shared by all pictures (or hold the only one).
    return value[rows] if isinstance(value, np.ndarray) and len(value) > 1 else value
