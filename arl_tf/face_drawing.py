"""Draws faces from their traits: a relief of the head, lit, under anti-aliased colours.

Coordinates. `u` (right) and `v` (down) measure the head: 1 is half a head's width, the origin lies
between the eyes, the chin near v = 1.7. `fu, fv` are the same on the turned surface, so features
slide and foreshorten with the pose. Edges are signed distances in those units, turned into coverage
by clipping at half a pixel. Everything is elementwise over [n, h, w], so a picture does not depend
on the pictures drawn beside it.
"""

import copy
import functools
from collections.abc import Callable

import numpy as np

_HEAD_SCALE = 0.228  # one head unit, in frame widths
_EYE_LINE = 0.485  # height of the eyes in the frame, from the top
MAX_IMAGE_SIZE = 512  # pixels; the table of camera noise holds one such picture
_CHUNK_PIXELS = 1 << 16  # per chunk: the planes of a chunk stay in the cache
_TABLE = 256
_GRAIN = 1 << 20

Traits = dict[str, np.ndarray]
Window = tuple[slice, slice, slice]


def draw_faces(traits: Traits, image_size: int) -> np.ndarray:
    """Draws one picture for each row of the traits.

    Args:
        traits: name -> [N] numbers or booleans, as `faces` makes them.
        image_size: S, in pixels.

    Returns:
        uint8 [N, S, S, 3], RGB.
    """
    num_images = len(next(iter(traits.values())))
    images = np.empty((num_images, image_size, image_size, 3), np.uint8)
    step = max(1, _CHUNK_PIXELS // image_size**2)
    for start in range(0, num_images, step):
        rows = slice(start, min(start + step, num_images))
        chunk = {
            name: values[rows].astype(np.float32)[:, None, None] for name, values in traits.items()
        }
        images[rows] = _draw_chunk(chunk, image_size)
    return images


def _draw_chunk(t: Traits, size: int) -> np.ndarray:
    face = _Face(t, size)
    _draw_background(face)
    _draw_back_hair(face)
    _draw_body(face)
    _draw_ears(face)
    _draw_skin(face)
    _draw_eyes(face)
    _draw_brows(face)
    _draw_mouth(face)
    face.only((t["beard"] + t["mustache"]) > 0, _draw_beard)
    _light_head(face)
    _draw_front_hair(face)
    face.only(t["hat"] > 0, _draw_hat)
    face.only(t["glasses"] > 0, _draw_glasses)
    return _develop(face)


def _take(value: object, rows: np.ndarray) -> object:
    """Takes rows of an array [n, h, w] or of those in a list or dict; leaves the rest alone."""
    if isinstance(value, dict):
        return {name: _take(part, rows) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_take(part, rows) for part in value]
    # Arrays of length 1 are shared by all pictures (or hold the only one).
    return value[rows] if isinstance(value, np.ndarray) and len(value) > 1 else value


def _choose(condition: np.ndarray, yes: np.ndarray | float, no: np.ndarray | float) -> np.ndarray:
    """np.where that keeps numbers float32: one float64 doubles the cost of all that follows."""
    yes, no = (np.float32(e) if isinstance(e, float) else e for e in (yes, no))
    return np.where(condition, yes, no)


def _fraction(x: np.ndarray) -> np.ndarray:
    """Gives x modulo 1, several times faster than the operator."""
    return x - np.floor(x)


def _smooth(x: np.ndarray) -> np.ndarray:
    """Gives 0 below 0, 1 above 1, smooth between."""
    x = np.clip(x, 0.0, 1.0)
    return x * x * (3.0 - 2.0 * x)


def _bump(
    x: np.ndarray, y: np.ndarray, width: np.ndarray | float, height: np.ndarray | float
) -> np.ndarray:
    """Gives 1 at the origin, 0 outside the ellipse, smooth between."""
    x, y = x / width, y / height
    rest = np.maximum(1.0 - x * x - y * y, 0.0)
    return rest * rest


def _ramp(position: np.ndarray, *stops: tuple[float, ...]) -> list[np.ndarray]:
    """Three colour planes interpolated between evenly spaced stops, position in [0, 1]."""
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


def _mix_colours(first: list, second: list, weight: np.ndarray | float) -> list[np.ndarray]:
    return [a + weight * (b - a) for a, b in zip(first, second, strict=True)]


def _dull(colour: list[np.ndarray]) -> list[np.ndarray]:
    """Dyed cloth: a random colour, two thirds of the way to its own gray."""
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


@functools.cache
def _strands(radius: int) -> np.ndarray:
    """float32 [4096], a tiling curve of noise in +-1; the wider the radius, the smoother."""
    noise = np.random.Generator(np.random.PCG64(radius)).standard_normal(4096)
    for _ in range(2):
        noise = sum(np.roll(noise, shift) for shift in range(-radius, radius + 1))
    return np.clip(noise / (2.0 * noise.std()), -1, 1).astype(np.float32)


@functools.cache
def _grain() -> np.ndarray:
    """float32 [G], the noise of the camera, unit variance."""
    return np.random.Generator(np.random.PCG64(3)).standard_normal(_GRAIN, dtype=np.float32)


class _Face:
    """A chunk of pictures being drawn: planes, coordinates and what several parts need."""

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
        self.light = 1.3 * t["light_x"] - 0.65, -0.15 - 0.5 * t["light_y"]

    def _shape(self) -> None:
        """The outline, the turned surface and the hair line."""
        t, u, v = self.t, self.u, self.v
        self.width = 1.0 + 0.065 * t["head_width"]
        self.top = 1.47 + 0.055 * t["head_height"]
        self.chin = 1.66 + 0.06 * t["chin_length"] + 0.02 * t["head_height"]
        below = v > 0
        q = v / _choose(below, self.chin, self.top)
        q2 = q * q
        taper = np.clip(0.27 - 0.05 * t["jaw_width"] - 0.03 * t["cheek_fullness"], 0.08, 0.5)
        cheeks = (0.03 + 0.03 * t["cheek_fullness"] + 0.03 * t["chubby"]) * _bump(
            v - 0.85, 0.0, 0.95, 1.0
        )
        square = np.clip(0.35 + 0.12 * t["jaw_squareness"], 0.0, 0.75)
        half = _choose(below, self.width * (1.0 - taper * q2) + cheeks, self.width)
        across = u / np.maximum(half, 0.3)
        inside = across * across + q2 + _choose(below, square, 0.45) * (q2 * q2 - q2)
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
        skin = _ramp(
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
        black = _ramp(1.2 - tone / 2.5, (0.05, 0.045, 0.05), (0.13, 0.10, 0.09))
        brown = _ramp(0.5 - tone, (0.24, 0.14, 0.085), (0.44, 0.28, 0.16))
        blond = _ramp(-0.5 * tone - 0.2, (0.70, 0.53, 0.31), (0.93, 0.81, 0.58))
        red = _ramp(0.4 - tone / 3.0, (0.46, 0.16, 0.07), (0.72, 0.34, 0.14))
        gray = _ramp((t["age"] - 0.9) / 1.2, (0.38, 0.38, 0.39), (0.76, 0.76, 0.75))
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

    def only(self, which: np.ndarray, draw: Callable[["_Face"], None]) -> None:
        """Draws a part on some of the pictures alone, where it would be invisible on most."""
        rows = np.flatnonzero(which)
        if len(rows) == 0:
            return
        some = copy.copy(self)
        some.__dict__ |= {name: _take(value, rows) for name, value in self.__dict__.items()}
        draw(some)
        for plane, part in zip(self.planes, some.planes, strict=True):
            plane[rows] = part

    def cover(self, distance: np.ndarray, soft: float = 0.0) -> np.ndarray:
        """Coverage in [0, 1] of a signed distance's inside; `soft` widens the edge (head units)."""
        sharp = self.sharp if soft == 0.0 else 1.0 / (soft + 1.0 / self.sharp)
        return np.clip(0.5 - distance * sharp, 0.0, 1.0)

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

    def paint(self, alpha: np.ndarray, colour: list, window: Window = (slice(None),) * 3) -> None:
        """Lays a colour over the picture."""
        for plane, value in zip(self.planes, colour, strict=True):
            part = plane[window]
            part += alpha * (value - part)

    def shade(self, alpha: np.ndarray, colour: tuple, window: Window = (slice(None),) * 3) -> None:
        """Multiplies the picture by a colour where alpha is 1."""
        for plane, value in zip(self.planes, colour, strict=True):
            plane[window] *= 1.0 + alpha * (value - 1.0)

    def lookup(self, window: Window, scale: float) -> np.ndarray:
        """Smooth noise that sticks to the face."""
        t = self.t
        column = ((self.fu[window] * scale + 8.0 + t["texture_u"]) * 97.0).astype(np.int32)
        row = ((self.fv[window] * scale + 8.0 + t["texture_v"]) * 97.0).astype(np.int32)
        return _texture()[(row & _TABLE - 1) * _TABLE + (column & _TABLE - 1)]


def _draw_background(face: _Face) -> None:
    t, x, y = face.t, face.x, face.y
    tone = 0.2 + 0.72 * t["back_tone"]
    hue = np.stack([t["back_hue"], (t["back_hue"] + 0.33) % 1.0, (t["back_hue"] + 0.67) % 1.0])
    tint = (
        0.4 * _choose(t["back_contrast"] > 0.4, 1.0, 0.4) * (np.abs(2.0 * hue - 1.0) - 0.5) + 0.88
    )
    slope = t["back_contrast"] * 0.9 * ((t["back_x"] - 0.5) * x * 2 + (t["back_y"] - 0.6) * y)
    base = tone * (1.0 + slope)
    for plane, value in zip(face.planes, tint, strict=True):
        np.multiply(base, value, out=plane)
    for i in range(3):
        blob = {what: t[f"blob{i}_{what}"] for what in ("x", "y", "size", "tone", "hue")}
        dx, dy = np.abs(x - 1.1 * blob["x"] + 0.55), np.abs(y - 0.9 * blob["y"] + 0.5)
        reach = 0.1 + 0.25 * blob["size"]
        boxed = np.maximum(dx, dy * (0.3 + blob["hue"]))
        distance = _choose(t["back_kind"] < 0.5, np.sqrt(dx * dx + dy * dy), boxed)
        alpha = 0.6 * _smooth((reach - distance) / 0.09 + 0.5)
        colour = [
            blob["tone"] * (0.85 + 0.22 * np.abs(2 * ((blob["hue"] + shift) % 1.0) - 1))
            for shift in (0, 0.3, 0.6)
        ]
        face.paint(alpha, colour)


def _strand_noise(
    face: _Face, window: Window = (slice(None),) * 3
) -> tuple[np.ndarray, np.ndarray]:
    """Locks and single hairs, each about +-1, running down from the parting."""
    t = face.t
    u, v = face.u[window], face.v[window]
    fan = (u - 0.25 * t["hair_parting"]) / (0.7 + np.maximum(v + face.top, 0.0) * 0.42)
    wave = np.clip(0.5 + 0.5 * t["hair_wave"], 0, 2)
    ripple = _fraction(v * 1.7 + np.abs(u))
    ripple = 16.0 * ripple * ripple * (1 - ripple) * (1 - ripple)
    line = (fan + 0.032 * wave * ripple + 4.0 + t["texture_u"]) * 400.0
    return _strands(22)[line.astype(np.int32) & 4095], _strands(7)[
        (line * 1.31).astype(np.int32) & 4095
    ]


def _hair_shape(face: _Face) -> None:
    """Signed distances of the hair's outer shape, and how far down it reaches."""
    t, u, v = face.t, face.u, face.v
    face.locks, face.hairs = _strand_noise(face)
    bald = t["bald"]
    volume = np.clip(0.12 + 0.045 * t["hair_volume"] + 0.02 * t["hair_wave"], 0.03, 0.3) * (
        1 - bald
    )
    length = np.clip(0.75 + 0.85 * t["hair_length"], 0.12, 2.6) * (1 - bald) + 0.15 * bald
    face.length = length
    flow = np.clip(v / np.maximum(length, 0.3), 0.0, 1.0)
    curl = np.clip(0.1 + 0.05 * t["hair_wave"], 0.0, 0.3)
    half = face.width + volume * (0.9 + 0.6 * flow) + _choose(length > 0.5, curl, 0.0) * flow
    half = half - (0.1 + 0.1 * t["hair_parting"] * np.sign(u)) * _choose(length > 0.5, 0.0, flow)
    q = np.minimum(v, 0.0) / (face.top + volume)
    across = u / half
    rough = 0.02 + 0.03 * np.clip(t["hair_wave"], 0, 3)
    q2 = q * q
    face.hair_outer = np.sqrt(across * across + 0.6 * q2 + 0.4 * q2 * q2) - 1.0 + rough * face.locks
    tip = v - length - 0.1 * face.locks + 0.15 * across * across * (length > 0.5)
    face.hair_end = tip
    face.hairline = _hairline(face)


def _draw_back_hair(face: _Face) -> None:
    _hair_shape(face)
    alpha = face.cover(np.maximum(face.hair_outer, face.hair_end)) * (1 - face.t["bald"])
    shade = 0.52 + 0.16 * face.locks + 0.1 * face.hairs
    face.paint(alpha, [shade * c for c in face.hair])


def _draw_body(face: _Face) -> None:
    """Neck, its shadow, and clothes."""
    t = face.t
    window = face.window(-3.0, 3.0, 0.9, 3.0)
    u, v = face.u[window], face.v[window]
    lx, _ = face.light
    neck = 0.50 + 0.09 * t["male"] + 0.04 * t["cheek_fullness"] + 0.03 * t["jaw_width"]
    spread = np.maximum(v - 1.65, 0.0)
    round_ = 1.0 - 0.35 * (u / neck) ** 2 + 0.35 * lx * u
    under = _smooth((v - face.chin) / 0.5)
    tone = np.clip(round_, 0.2, 1.2) * (0.5 + 0.38 * under)
    alpha = face.cover(np.abs(u) - neck - 0.9 * spread * spread)
    face.paint(
        alpha, [tone * c * k for c, k in zip(face.skin, (1.0, 0.96, 0.94), strict=True)], window
    )
    beside = np.abs(u) / 0.66
    scoop = (0.10 + 0.35 * t["collar"]) * np.sqrt(np.maximum(1.0 - beside * beside, 0.0))
    cloth = 1.86 + scoop + (0.15 + 0.05 * t["back_x"]) * np.maximum(beside - 1.0, 0.0) - v
    fold = (
        0.80 + 0.18 * lx * u + 0.10 * np.clip(v - 1.8, 0, 1) - 0.22 * _bump(cloth, 0.0, 0.10, 1.0)
    )
    shirt = _dull([t[f"shirt_{c}"] for c in ("red", "green", "blue")])
    face.paint(face.cover(cloth), [fold * c for c in shirt], window)


def _draw_ears(face: _Face) -> None:
    t = face.t
    window = face.window(-1.35, 1.35, -0.4, 0.9)
    u, v = face.u[window], face.v[window]
    height = 0.30 + 0.035 * t["ear_size"]
    bulge = 0.15 + 0.03 * t["ear_size"]
    # Turning the head hides one ear and shows more of the other.
    side = _choose(u > 0, 1.0, -1.0) * face.turn
    x, y = np.abs(u) - face.width - 0.15 * np.maximum(-side, 0.0) + 0.03, v - 0.22
    x = x + np.maximum(side, 0.0) * 0.45
    radius = np.sqrt((x / bulge) ** 2 + (y / height) ** 2)
    lx, _ = face.light
    tone = 0.80 + 0.25 * lx * np.sign(u) - 0.25 * _bump(x - 0.02, y, 0.6 * bulge, 0.6 * height)
    face.paint(
        face.cover((radius - 1.0) * bulge),
        [tone * c * k for c, k in zip(face.skin, (1.0, 0.9, 0.88), strict=True)],
        window,
    )


def _draw_skin(face: _Face) -> None:
    """Skin with blush, freckles, a mole and lines of age, and the relief the light falls on."""
    t = face.t
    face.paint(face.head, face.skin)
    window = face.window(-1.0, 1.0, 0.0, 1.2)
    fu, fv = face.fu[window], face.fv[window]
    side = np.abs(fu)
    blush = np.clip(0.22 + 0.1 * t["rosiness"], 0.05, 0.4) + 0.55 * t["rosy"]
    red = _bump(side - 0.6, fv - 0.58, 0.42, 0.36) * blush + 0.4 * _bump(fu, fv - 0.6, 0.3, 0.25)
    face.shade(red, (1.0, 0.70, 0.70), window)
    freckles = np.clip(face.lookup(window, 4.1) * 1.6 - 0.9, 0.0, 1.0)
    amount = np.clip(t["freckles"] - 0.5, 0.0, 1.2) * np.clip(1.2 - 0.5 * t["skin_darkness"], 0, 1)
    freckles *= 0.5 * amount * _bump(side - 0.4, fv - 0.5, 0.65, 0.5)
    beside, below = (
        (0.2 + 0.5 * t["mole_u"]) * np.sign(t["mole_side"] - 0.5),
        0.35 + 0.75 * t["mole_v"],
    )
    mole = _choose(np.abs(t["mole_side"] - 0.5) > 0.3, 1.0, 0.0)
    mole = mole * _bump(fu - beside, fv - below, 0.085, 0.085)
    face.shade(np.maximum(freckles, mole), (0.45, 0.28, 0.2), window)
    _draw_age(face)
    _mould(face)


def _draw_age(face: _Face) -> None:
    """Lines on the forehead, bags under the eyes, and the fold from nose to mouth."""
    t = face.t
    old = np.clip(0.5 * t["age"] + 0.1, 0.0, 1.0)
    window = face.window(-0.7, 0.7, -1.0, -0.4)
    fu, fv = face.fu[window], face.fv[window]
    ripple = _fraction((fv + 0.08 * fu * fu) * 6.5)
    lines = 16 * ripple * ripple * (1 - ripple) ** 2 * _bump(fu, fv + 0.68, 0.75, 0.36)
    face.shade(lines * old * 0.55, (0.62, 0.52, 0.48), window)
    window = face.window(-0.95, 0.95, -0.3, 1.3)
    fu, fv = face.fu[window], face.fv[window]
    side = np.abs(fu)
    bags = _bump(side - 0.44, fv - 0.26, 0.30, 0.10)
    face.shade(bags * (0.15 + 0.6 * old), (0.66, 0.52, 0.52), window)
    smile = np.maximum(t["smile"], 0.0)
    path = (
        side
        - (0.24 + 0.03 * t["nose_width"])
        - 0.36 * np.maximum(fv - 0.55, 0.0) * (1 + 0.3 * smile)
    )
    fold = _bump(path, fv - 0.84, 0.085, 0.34)
    face.shade(fold * np.clip(0.15 + 0.45 * old + 0.3 * smile, 0, 1), (0.66, 0.52, 0.48), window)


def _mould(face: _Face) -> None:
    """Adds brow ridge, sockets, nose, cheeks, muzzle and chin to the relief of the head."""
    t = face.t
    window = face.window(-1.0, 1.0, -0.5, 1.75)
    fu, fv, relief = face.fu[window], face.fv[window], face.relief[window]
    side = np.abs(fu)
    eye_u, eye_v = _eye_centre(t)
    smile = np.maximum(t["smile"], 0.0)
    relief += (0.05 + 0.02 * t["male"]) * _bump(side - 0.38, fv + 0.26, 0.45, 0.2)
    relief -= 0.13 * _bump(side - eye_u + 0.03, fv - eye_v + 0.03, 0.36, 0.24)
    relief += (0.07 + 0.05 * smile) * _bump(side - 0.55, fv - 0.52 + 0.06 * smile, 0.40, 0.36)
    relief += 0.07 * _bump(fu, fv - 1.0, 0.55, 0.42)
    relief -= 0.05 * _bump(fu, fv - face.mouth_v - 0.31, 0.35, 0.13)
    relief += 0.09 * _bump(fu, fv - face.chin + 0.24, 0.34, 0.26)
    _mould_nose(face)


def _mould_nose(face: _Face) -> None:
    t = face.t
    window = face.window(-0.5, 0.5, -0.4, 1.0)
    fu, fv, relief = face.fu[window], face.fv[window], face.relief[window]
    tip = 0.62 + 0.075 * t["nose_length"]
    wide = 0.97 + 0.15 * t["nose_width"] + 0.16 * t["big_nose"]
    down = np.clip((fv + 0.2) / (tip + 0.2), 0.0, 1.2)
    # What stands out of the face moves further when the head turns.
    nu = fu - face.turn * 0.42 * np.minimum(down, 1.0)
    bridge = _bump(nu, 0.0, 0.24 * wide * (0.72 + 0.28 * down), 1.0)
    relief += 0.32 * bridge * down * _smooth((tip + 0.14 - fv) / 0.2)
    relief += (0.15 + 0.035 * t["nose_tip"]) * _bump(
        nu, fv - tip + 0.045 * t["nose_tip"], 0.19 * wide, 0.17 + 0.02 * t["nose_tip"]
    )
    relief += 0.15 * _bump(np.abs(nu) - 0.19 * wide, fv - tip - 0.04, 0.13 * wide, 0.13)
    nostrils = _bump(np.abs(nu) - 0.115 * wide, fv - tip - 0.115, 0.095 * wide, 0.06)
    face.shade(np.minimum(1.6 * nostrils, 0.85), (0.30, 0.18, 0.16), window)
    below = _bump(nu, fv - tip - 0.17, 0.30 * wide, 0.11)
    face.shade(0.5 * below, (0.66, 0.52, 0.50), window)
    lx, _ = face.light
    cast = _bump(nu + np.sign(lx) * 0.26 * wide, fv - tip + 0.12, 0.2, 0.42)
    face.shade(cast * np.minimum(np.abs(lx) * 0.7, 0.5), (0.62, 0.48, 0.46), window)


def _eye_centre(t: Traits) -> tuple[np.ndarray, np.ndarray]:
    return 0.45 + 0.04 * t["eye_spacing"], 0.02 + 0.035 * t["eye_height"]


def _draw_eyes(face: _Face) -> None:
    t = face.t
    window = face.window(-0.9, 0.9, -0.4, 0.45)
    fu, fv = face.fu[window], face.fv[window]
    eye_u, eye_v = _eye_centre(t)
    wide = 0.228 + 0.022 * t["eye_size"]
    smile = np.maximum(t["smile"], 0.0)
    side = _choose(fu > 0, 1.0, -1.0)
    x = (fu * side - eye_u) / wide
    y = fv - eye_v + (0.03 + 0.028 * t["eye_tilt"]) * x
    openness = np.clip(1.0 + 0.17 * t["eye_openness"] - 0.12 * smile, 0.5, 1.5)
    height = (
        wide * (0.54 + 0.03 * t["eye_size"]) * openness * _choose(t["narrow_eyes"] > 0, 0.62, 1.0)
    )
    arc = 1.0 - x * x
    upper, lower = (
        -y - height * arc * (1.12 - 0.1 * x),
        y - 0.62 * height * arc - 0.1 * smile * height,
    )
    slit = np.maximum(upper, lower)
    makeup = t["makeup"]
    lid = _bump(x * 0.8, y + 1.25 * height + 0.015, 1.15, 0.20)
    shadow = [0.62 - 0.1 * makeup, 0.52 - 0.18 * makeup, 0.52 - 0.02 * makeup]
    face.shade(lid * (0.35 + 0.45 * makeup), shadow, window)
    crease = _bump(-y - height * arc * 1.1 - 0.075 * openness, x * 0.8, 0.035, 1.0)
    face.shade(crease * 0.6, (0.52, 0.40, 0.38), window)
    white = face.cover(slit)
    depth = np.clip(-upper / (0.9 * height), 0.0, 1.0)
    shade = 0.58 + 0.36 * depth - 0.14 * np.clip(np.abs(x) - 0.5, 0, 1)
    face.paint(white, [shade * c for c in (0.98, 0.95, 0.94)], window)
    _draw_iris(face, window, white, x * wide * side, y, height)
    lash = _bump(upper, np.maximum(np.abs(x) - 0.75, 0.0), 0.045 + 0.02 * makeup, 0.45)
    face.paint(
        np.minimum(lash * (0.95 - 0.15 * t["male"] + 0.5 * makeup), 1.0), [0.09, 0.06, 0.05], window
    )
    under = _bump(lower, np.maximum(np.abs(x) - 0.6, 0.0), 0.035, 0.5)
    face.shade(under * (0.5 + 0.3 * makeup), (0.5, 0.34, 0.32), window)


def _draw_iris(
    face: _Face, window: Window, white: np.ndarray, x: np.ndarray, y: np.ndarray, height: np.ndarray
) -> None:
    t = face.t
    x = x - 0.022 * t["gaze_x"]
    y = y + 0.07 * height - 0.008 * t["gaze_y"]
    radius = np.sqrt(x * x + y * y)
    size = 0.120
    light = np.clip(0.25 + 0.3 * t["iris_lightness"] - 0.25 * t["skin_darkness"], 0.0, 1.0)
    pale = _ramp(t["iris_hue"], (0.32, 0.52, 0.72), (0.36, 0.56, 0.50), (0.50, 0.47, 0.28))
    iris = _mix_colours([0.20, 0.11, 0.06], pale, light)
    rim = (
        1.15
        - 0.55 * _smooth((radius - 0.6 * size) / (0.5 * size))
        + 0.25 * np.clip(y / size, -0.8, 0.8)
    )
    face.paint(white * face.cover(radius - size), [rim * c for c in iris], window)
    face.paint(white * face.cover(radius - 0.048), [0.02, 0.02, 0.02], window)
    lx, _ = face.light
    glint = np.sqrt((x - 0.045 * np.sign(lx)) ** 2 + (y + 0.045) ** 2) - 0.030
    face.paint(0.85 * white * face.cover(glint), [1.0, 1.0, 1.0], window)


def _draw_brows(face: _Face) -> None:
    t = face.t
    window = face.window(-0.95, 0.95, -0.75, 0.05)
    fu, fv = face.fu[window], face.fv[window]
    eye_u, eye_v = _eye_centre(t)
    x = (np.abs(fu) - eye_u - 0.02) / 0.33
    arched = t["arched"]
    arch = np.clip(0.06 + 0.025 * t["brow_arch"], 0.0, 0.2) + 0.035 * arched
    level = eye_v - 0.33 - 0.042 * t["brow_height"] - 0.012 * t["brow_raise"]
    y = fv - level + arch * (1.0 - (0.75 + 0.35 * np.sign(x - 0.2)) * (x - 0.2) ** 2)
    bushy = t["bushy"]
    thick = np.clip(0.052 + 0.011 * t["brow_thickness"], 0.022, 0.1) + 0.022 * bushy
    band = thick * np.clip(
        1.15 - 0.75 * np.maximum(x, 0.0) ** 2 - 0.5 * np.maximum(-x - 0.4, 0.0), 0.15, 1.0
    )
    distance = np.maximum(np.abs(y) - band, (np.abs(x) - 1.0) * 0.33)
    fray = 0.85 + 0.25 * face.lookup(window, 3.0)
    alpha = face.cover(distance, soft=0.035) * fray * np.clip(0.72 + 0.1 * bushy, 0, 1)
    gray = t["gray"] * 0.6
    dark = [np.minimum(c * 0.55, 0.38) + 0.02 + gray * c * 0.25 for c in face.hair]
    face.paint(np.clip(alpha, 0, 1), dark, window)


def _draw_mouth(face: _Face) -> None:
    """Lips, the gap between them, teeth."""
    t = face.t
    window = face.window(-0.75, 0.75, 0.6, 1.55)
    fu, fv = face.fu[window], face.fv[window]
    smile = t["smile"]
    wide = (0.36 + 0.045 * t["mouth_width"]) * (1.0 + 0.2 * np.maximum(smile, 0.0))
    x = (fu - face.turn * 0.12) / wide
    arc = 1.0 - x * x
    line = fv - face.mouth_v + smile * 0.165 * x * x - 0.03 * np.maximum(smile, 0.0)
    gap = t["mouth_gap"] * (0.055 + 0.03 * np.maximum(smile, 0.0)) * np.maximum(arc, 0.0)
    big = t["big_lips"]
    upper_lip = (
        np.clip(0.085 + 0.022 * t["upper_lip"], 0.035, 0.2)
        * (1.0 + 0.25 * big)
        * (1 - 0.2 * np.maximum(smile, 0))
    )
    lower_lip = (
        np.clip(0.125 + 0.03 * t["lower_lip"], 0.05, 0.25)
        * (1.0 + 0.25 * big)
        * (1 - 0.15 * np.maximum(smile, 0))
    )
    bow = 1.0 - 0.28 * _bump(x, 0.0, 0.32, 1.0)
    beyond = 0.5 * wide * (np.abs(x) - 1.0)
    top = np.maximum(-line - gap - upper_lip * arc * bow, beyond)
    bottom = line - gap * 1.2 - lower_lip * arc * (1.25 - 0.25 * x * x)
    lips = face.cover(np.maximum(top, bottom), soft=0.02)
    natural = [c * k for c, k in zip(face.skin, (0.86, 0.62, 0.60), strict=True)]
    stick = _ramp(t["lipstick_hue"], (0.72, 0.05, 0.12), (0.78, 0.16, 0.32), (0.50, 0.06, 0.16))
    colour = _mix_colours(natural, stick, 0.85 * t["lipstick"])
    relief = _choose(line < 0, 0.80, 1.02) + 0.28 * _bump(
        line - gap - 0.5 * lower_lip, x, 0.07, 0.7
    ) * (1 + t["lipstick"])
    face.paint(lips * (0.82 + 0.18 * t["lipstick"]), [relief * c for c in colour], window)
    face.shade(_bump(bottom - 0.05, x, 0.09, 0.9) * 0.4, (0.60, 0.48, 0.46), window)
    hole = np.maximum(np.maximum(-line - gap, line - gap * 1.2), beyond)
    inside = face.cover(hole) * _smooth(t["mouth_gap"] * 4.0)
    face.paint(inside, [0.20, 0.05, 0.05], window)
    teeth = np.maximum(hole, line - gap * (0.35 + 0.45 * np.maximum(smile, 0.0)))
    bright = 0.95 - 0.45 * x * x
    face.paint(inside * face.cover(teeth), [bright * c for c in (0.97, 0.94, 0.89)], window)
    seam = (
        _bump(np.abs(line), x, 0.030 + 0.012 * (1 - t["mouth_open"]), 1.12)
        * (1 - 0.9 * inside)
        * _smooth(1.0 - 8.0 * beyond)
    )
    face.shade(seam * 0.9, (0.34, 0.18, 0.18), window)
    corners = _bump(np.abs(x) - 1.0, line, 0.16, 0.06)
    face.shade(corners * 0.5, (0.5, 0.36, 0.35), window)


def _draw_beard(face: _Face) -> None:
    t = face.t
    window = face.window(-1.0, 1.0, 0.2, 1.9)
    fu, fv = face.fu[window], face.fv[window]
    side = np.abs(fu)
    mouth = face.mouth_v
    rough = 0.045 * face.lookup(window, 2.0)
    full = t["beard_extent"] > 0.35
    cheek = mouth - 0.10 - 0.75 * np.maximum(side - 0.30, 0.0) - fv
    goatee = np.maximum(side - 0.36, mouth + 0.05 - fv)
    region = _choose(full, cheek, goatee) + rough
    around = np.sqrt((side / 0.50) ** 2 + ((fv - mouth - 0.03) / 0.26) ** 2) - 1.0
    beard = face.cover(np.maximum(region, -0.3 * around), soft=0.10) * t["beard"]
    nose = 0.62 + 0.075 * t["nose_length"]
    centre = 0.5 * (nose + 0.13 + mouth - 0.07) + 0.20 * side * side
    tall = 0.062 + 0.02 * t["mustache_size"]
    droop = (
        side - 0.36 - 0.06 * t["mustache_size"] + 0.5 * np.maximum(np.abs(fv - centre) - 0.02, 0.0)
    )
    mustache = (
        face.cover(np.maximum(np.abs(fv - centre) - tall, droop * 0.5) + rough, soft=0.08)
        * t["mustache"]
    )
    alpha = np.maximum(beard * t["beard_density"], mustache * 0.92)
    texture = 0.74 + 0.2 * face.lookup(window, 2.6)
    face.paint(
        alpha * face.head[window],
        [
            texture * np.minimum(c, 0.8) * (1 - k * (1 - t["gray"]))
            for c, k in zip(face.hair, (0.1, 0.24, 0.34), strict=True)
        ],
        window,
    )


def _light_head(face: _Face) -> None:
    """Lights the relief: reddish half-shadows, a soft gloss, the shadows of hair and hat."""
    t = face.t
    z = face.relief
    dx, dy = np.empty_like(z), np.empty_like(z)
    step = 0.5 * face.sharp
    dx[:, :, 1:-1] = (z[:, :, 2:] - z[:, :, :-2]) * step
    dy[:, 1:-1] = (z[:, 2:] - z[:, :-2]) * step
    dx[:, :, 0] = dx[:, :, -1] = dy[:, 0] = dy[:, -1] = 0.0
    lx, ly = face.light
    unit = 1.0 / np.sqrt(1.0 + dx * dx + dy * dy)
    norm = np.sqrt(1.0 + lx * lx + ly * ly)
    facing = np.maximum((1.0 - dx * lx - dy * ly) * unit / norm, 0.0)
    strength = 0.55 + 0.3 * t["light_strength"]
    shade = (1.12 - strength) * (0.75 + 0.25 * unit) + strength * facing
    window = face.window(-1.2, 1.2, -1.65, 1.9)
    shade[window] *= 1.0 - 0.035 * face.lookup(window, 1.0)
    fall = _smooth(1.0 - (face.fv - face.hairline) / 0.26) * (1 - t["bald"]) * (face.fv < 0.3)
    shade = shade * (
        1.0 - 0.38 * np.maximum(fall, t["hat"] * _smooth(1.0 - (face.fv + 0.66) / 0.4))
    )
    gloss = facing * facing
    gloss = gloss * gloss
    gloss = gloss * gloss
    gloss = gloss * gloss * face.head * (0.09 + 0.05 * t["bald"] * (face.v < -0.6))
    for plane, soft in zip(face.planes, (0.16, 0.05, 0.02), strict=True):
        lit = shade + soft * (1.0 - shade)
        plane *= 1.0 + face.head * (lit - 1.0)
        plane += gloss


def _hairline(face: _Face) -> np.ndarray:
    """Height (v) of the lower edge of the hair on the forehead, for each pixel."""
    t = face.t
    across = face.fu
    square = across * across
    line = -0.97 - 0.08 * t["hairline"] + 0.50 * square * square * square
    part = 0.35 * t["hair_parting"]
    line = line + (0.24 - 0.14 * t["male"]) * np.minimum(np.abs(across - part), 0.8)
    line = line + 0.08 * t["male"] * _bump(across, 0.0, 0.45, 1.0)
    fringe = -0.43 - 0.10 * np.abs(across - part) - 0.09 * face.locks + 0.1 * square
    return _choose(t["bangs"] > 0, fringe, line + 0.04 * face.locks)


def _draw_front_hair(face: _Face) -> None:
    t, v = face.t, face.v
    long = face.length > 0.5
    curtain = 0.68 + 0.05 * t["hair_parting"] * np.sign(face.u) + 0.24 * _smooth((v + 0.7) / 1.3)
    opening = _choose(long, curtain, 0.93) * face.width
    sides = np.maximum(
        opening + 0.03 * face.locks - np.abs(_choose(v > 0.6, face.u, face.fu)), face.hair_end
    )
    sides = np.maximum(sides, _choose(t["bald"] > 0, -0.55 - v, -9.0))
    cap = _choose(t["bald"] > 0, 9.0, face.fv - face.hairline)
    region = np.maximum(np.minimum(cap, sides), np.maximum(face.hair_outer, face.hair_end))
    alpha = face.cover(region, soft=0.02)
    lx, _ = face.light
    gleam = _bump(face.hair_outer + 0.22 + 0.05 * face.locks, 0.0, 0.26, 1.0) * np.clip(
        0.7 + 0.6 * lx * face.u - 0.25 * v, 0, 1.6
    )
    edge = np.clip(-face.hair_outer * 4.0, 0.0, 1.0)
    tone = (0.58 + 0.30 * edge + 0.10 * lx * face.u) * (1.0 + 0.20 * face.locks + 0.13 * face.hairs)
    tone = np.clip(tone * (1.0 + 0.25 * gleam), 0.15, 1.5)
    lift = 0.09 * gleam * (1.0 + 0.6 * face.hairs)
    face.paint(
        alpha, [tone * c + lift * k for c, k in zip(face.hair, (1.0, 0.92, 0.85), strict=True)]
    )


def _draw_hat(face: _Face) -> None:
    """A knitted cap or, with a brim, a baseball cap."""
    t = face.t
    window = face.window(-1.7, 1.7, -2.6, -0.3)
    u, v, fv = face.u[window], face.v[window], face.fv[window]
    edge = -0.74 + 0.08 * face.fu[window] ** 2
    half = face.width + 0.16
    q = np.minimum(v + 0.5, 0.0) / (face.top - 0.5 + 0.34)
    q2 = q * q
    dome = np.sqrt((u / half) ** 2 + 0.65 * q2 + 0.35 * q2 * q2) - 1.0
    colour = _dull([t[f"hat_{c}"] for c in ("red", "green", "blue")])
    lx, _ = face.light
    round_ = 0.95 - 0.45 * (u / half) ** 2 + 0.35 * lx * u + 0.18 * q
    ribs = _fraction((u / half) * 9.0)
    band = face.cover(edge - 0.26 - fv, soft=0.02)
    knit = (
        round_
        * (1.0 - 0.22 * band * 4.0 * ribs * (1 - ribs))
        * (1.0 - 0.25 * _bump(fv - edge + 0.28, 0.0, 0.07, 1.0))
    )
    alpha = face.cover(np.maximum(dome, fv - edge)) * t["hat"]
    face.paint(alpha, [np.clip(knit, 0.15, 1.3) * c for c in colour], window)
    brim_v = fv - edge - 0.06 + 0.16 * np.maximum(1.0 - (u / 1.0) ** 2, 0.0)
    brim = np.maximum(np.abs(brim_v) - 0.13, np.abs(u - face.turn) - 1.02)
    front = face.cover(brim) * t["hat"] * (t["hat_brim"] > 0.5)
    face.paint(
        front, [np.clip(0.5 + 0.25 * lx * u - 1.2 * brim_v, 0.15, 1.1) * c for c in colour], window
    )


def _draw_glasses(face: _Face) -> None:
    t = face.t
    window = face.window(-1.1, 1.1, -0.45, 0.6)
    fu, fv = face.fu[window], face.fv[window]
    side = np.abs(fu - face.turn * 0.1)
    eye_u, eye_v = _eye_centre(t)
    x, y = np.abs(side - eye_u - 0.02), np.abs(fv - eye_v - 0.05)
    wide, tall = 0.345, 0.25
    across, down = (x / wide) ** 2, (y / tall) ** 2
    corner = 0.28 * (np.sqrt(np.sqrt(across * across + down * down)) - 1.0)
    ring = np.sqrt(x * x + y * y) - 0.30
    lens = _choose(t["glasses_round"] > 0.6, ring, corner)
    thick = _choose(t["glasses_tone"] < 0.6, 0.040, 0.024)
    rim = np.abs(lens) - thick
    bridge = np.maximum(side - eye_u + 0.24, np.abs(fv - eye_v + 0.02 - 0.12 * side) - thick)
    temple = (
        np.maximum(eye_u + 0.3 - side, np.abs(fv - eye_v + 0.03) - thick)
        + 10.0
        - 10.0 * face.head[window]
    )
    frame = np.minimum(rim, np.minimum(bridge, temple))
    glass = face.cover(lens) * t["glasses"]
    streak = _bump(_fraction(1.1 * fu - 0.8 * fv + 0.15) - 0.5, 0.0, 0.15, 1.0)
    face.paint(glass * (0.05 + 0.13 * streak), [0.93, 0.96, 1.0], window)
    face.shade(t["glasses"] * _bump(lens, 0.0, 0.13, 1.0) * 0.4, (0.6, 0.54, 0.52), window)
    tone = _ramp(
        t["glasses_tone"],
        (0.03, 0.03, 0.04),
        (0.10, 0.05, 0.03),
        (0.32, 0.15, 0.08),
        (0.55, 0.50, 0.42),
    )
    gleam = 1.0 + 0.7 * np.clip(-(fv - eye_v) * 2.0, -0.4, 1.0)
    face.paint(face.cover(frame) * t["glasses"], [gleam * c for c in tone], window)


def _develop(face: _Face) -> np.ndarray:
    """Light's colour, exposure, lens shading and the noise of the camera; uint8 [n, S, S, 3]."""
    t, size = face.t, face.size
    warm = 0.16 * (t["light_warmth"] - 0.5)
    gain = 0.94 + 0.26 * t["exposure"]
    fall = gain * (1.0 - 0.35 * (face.x * face.x + face.y * face.y))
    out = np.empty((face.count, size, size, 3), np.float32)
    for channel, tint in enumerate((1.0 + warm, 1.0, 1.0 - warm)):
        np.multiply(face.planes[channel], fall * tint * 255.0, out=out[..., channel])
    count = size * size * 3
    for i in range(face.count):
        start = int(t["noise"][i, 0, 0] * (_GRAIN - count))
        out[i] += (0.8 + 2.6 * t["grain"][i, 0, 0]) * _grain()[start : start + count].reshape(
            size, size, 3
        )
    return np.clip(out + 0.5, 0.0, 255.0).astype(np.uint8)
