"""Draws faces from their traits: a relief of the head, lit, under anti-aliased colours.

Here is the order of a picture: background, the parts of the face from back to front, the camera.
`canvas` explains the coordinates.
"""

import functools

import numpy as np

from arl_tf.data.faces import features, hair, head
from arl_tf.data.faces.canvas import Face, Traits, select, smooth

MAX_IMAGE_SIZE = 512  # pixels; the table of camera noise holds one such picture
_CHUNK_PIXELS = 1 << 16  # per chunk: the planes of a chunk stay in the cache
_GRAIN = 1 << 20


def draw_faces(traits: Traits, image_size: int) -> np.ndarray:
    """Draws one picture for each row of the traits.

    Args:
        traits: name -> [N] numbers or booleans, as `face_traits` draws them.
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
    """uint8 [n, S, S, 3] of traits float32 [n, 1, 1] each."""
    face = Face(t, size)
    _draw_background(face)
    hair.draw_back_hair(face)
    head.draw_body(face)
    head.draw_ears(face)
    head.draw_skin(face)
    features.draw_eyes(face)
    features.draw_brows(face)
    features.draw_mouth(face)
    face.only((t["beard"] + t["mustache"]) > 0, hair.draw_beard)
    head.light_head(face)
    hair.draw_front_hair(face)
    face.only(t["hat"] > 0, hair.draw_hat)
    face.only(t["glasses"] > 0, features.draw_glasses)
    return _develop(face)


def _draw_background(face: Face) -> None:
    t, x, y = face.t, face.x, face.y
    tone = 0.2 + 0.72 * t["back_tone"]
    hue = np.stack([t["back_hue"], (t["back_hue"] + 0.33) % 1.0, (t["back_hue"] + 0.67) % 1.0])
    tint = 0.4 * select(t["back_contrast"] > 0.4, 1.0, 0.4) * (np.abs(2.0 * hue - 1.0) - 0.5) + 0.88
    slope = t["back_contrast"] * 0.9 * ((t["back_x"] - 0.5) * x * 2 + (t["back_y"] - 0.6) * y)
    base = tone * (1.0 + slope)
    for plane, value in zip(face.planes, tint, strict=True):
        np.multiply(base, value, out=plane)
    for i in range(3):
        blob = {what: t[f"blob{i}_{what}"] for what in ("x", "y", "size", "tone", "hue")}
        dx, dy = np.abs(x - 1.1 * blob["x"] + 0.55), np.abs(y - 0.9 * blob["y"] + 0.5)
        reach = 0.1 + 0.25 * blob["size"]
        boxed = np.maximum(dx, dy * (0.3 + blob["hue"]))
        distance = select(t["back_kind"] < 0.5, np.sqrt(dx * dx + dy * dy), boxed)
        alpha = 0.6 * smooth((reach - distance) / 0.09 + 0.5)
        colour = [
            blob["tone"] * (0.85 + 0.22 * np.abs(2 * ((blob["hue"] + shift) % 1.0) - 1))
            for shift in (0, 0.3, 0.6)
        ]
        face.paint(alpha, colour)


def _develop(face: Face) -> np.ndarray:
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


@functools.cache
def _grain() -> np.ndarray:
    """float32 [G], the noise of the camera, unit variance."""
    return np.random.Generator(np.random.PCG64(3)).standard_normal(_GRAIN, dtype=np.float32)
