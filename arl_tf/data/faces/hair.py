"""Draws hair behind and before the head, beards, and hats over the hair."""

import functools

import numpy as np

from arl_tf.data.faces.canvas import Face, Window, bump, dull, fraction, select, smooth


def draw_back_hair(face: Face) -> None:
    """Hair behind the head; leaves its shape on the face for what is drawn later."""
    _hair_shape(face)
    alpha = face.cover(np.maximum(face.hair_outer, face.hair_end)) * (1 - face.t["bald"])
    shade = 0.52 + 0.16 * face.locks + 0.1 * face.hairs
    face.paint(alpha, [shade * c for c in face.hair])


def draw_front_hair(face: Face) -> None:
    """Hair over the forehead and beside the cheeks, with its gleam."""
    t, v = face.t, face.v
    long = face.length > 0.5
    curtain = 0.68 + 0.05 * t["hair_parting"] * np.sign(face.u) + 0.24 * smooth((v + 0.7) / 1.3)
    opening = select(long, curtain, 0.93) * face.width
    sides = np.maximum(
        opening + 0.03 * face.locks - np.abs(select(v > 0.6, face.u, face.fu)), face.hair_end
    )
    sides = np.maximum(sides, select(t["bald"] > 0, -0.55 - v, -9.0))
    cap = select(t["bald"] > 0, 9.0, face.fv - face.hairline)
    region = np.maximum(np.minimum(cap, sides), np.maximum(face.hair_outer, face.hair_end))
    alpha = face.cover(region, soft=0.02)
    lx, _ = face.light
    gleam = bump(face.hair_outer + 0.22 + 0.05 * face.locks, 0.0, 0.26, 1.0) * np.clip(
        0.7 + 0.6 * lx * face.u - 0.25 * v, 0, 1.6
    )
    edge = np.clip(-face.hair_outer * 4.0, 0.0, 1.0)
    tone = (0.58 + 0.30 * edge + 0.10 * lx * face.u) * (1.0 + 0.20 * face.locks + 0.13 * face.hairs)
    tone = np.clip(tone * (1.0 + 0.25 * gleam), 0.15, 1.5)
    lift = 0.09 * gleam * (1.0 + 0.6 * face.hairs)
    face.paint(
        alpha, [tone * c + lift * k for c, k in zip(face.hair, (1.0, 0.92, 0.85), strict=True)]
    )


def _hair_shape(face: Face) -> None:
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
    half = face.width + volume * (0.9 + 0.6 * flow) + select(length > 0.5, curl, 0.0) * flow
    half = half - (0.1 + 0.1 * t["hair_parting"] * np.sign(u)) * select(length > 0.5, 0.0, flow)
    q = np.minimum(v, 0.0) / (face.top + volume)
    across = u / half
    rough = 0.02 + 0.03 * np.clip(t["hair_wave"], 0, 3)
    q2 = q * q
    face.hair_outer = np.sqrt(across * across + 0.6 * q2 + 0.4 * q2 * q2) - 1.0 + rough * face.locks
    tip = v - length - 0.1 * face.locks + 0.15 * across * across * (length > 0.5)
    face.hair_end = tip
    face.hairline = _hairline(face)


def _hairline(face: Face) -> np.ndarray:
    """Height (v) of the lower edge of the hair on the forehead, for each pixel; [n, h, w]."""
    t = face.t
    across = face.fu
    square = across * across
    line = -0.97 - 0.08 * t["hairline"] + 0.50 * square * square * square
    part = 0.35 * t["hair_parting"]
    line = line + (0.24 - 0.14 * t["male"]) * np.minimum(np.abs(across - part), 0.8)
    line = line + 0.08 * t["male"] * bump(across, 0.0, 0.45, 1.0)
    fringe = -0.43 - 0.10 * np.abs(across - part) - 0.09 * face.locks + 0.1 * square
    return select(t["bangs"] > 0, fringe, line + 0.04 * face.locks)


def _strand_noise(face: Face, window: Window = (slice(None),) * 3) -> tuple[np.ndarray, np.ndarray]:
    """Locks and single hairs, each [n, h, w] in +-1, running down from the parting."""
    t = face.t
    u, v = face.u[window], face.v[window]
    fan = (u - 0.25 * t["hair_parting"]) / (0.7 + np.maximum(v + face.top, 0.0) * 0.42)
    wave = np.clip(0.5 + 0.5 * t["hair_wave"], 0, 2)
    ripple = fraction(v * 1.7 + np.abs(u))
    ripple = 16.0 * ripple * ripple * (1 - ripple) * (1 - ripple)
    line = (fan + 0.032 * wave * ripple + 4.0 + t["texture_u"]) * 400.0
    locks = _strands(22).take(line.astype(np.int32) & 4095)
    hairs = _strands(7).take((line * 1.31).astype(np.int32) & 4095)
    return locks, hairs


@functools.cache
def _strands(radius: int) -> np.ndarray:
    """float32 [4096], a tiling curve of noise in +-1; the wider the radius, the smoother."""
    noise = np.random.Generator(np.random.PCG64(radius)).standard_normal(4096)
    for _ in range(2):
        noise = sum(np.roll(noise, shift) for shift in range(-radius, radius + 1))
    return np.clip(noise / (2.0 * noise.std()), -1, 1).astype(np.float32)


def draw_beard(face: Face) -> None:
    """Full beard or goatee, and mustache."""
    t = face.t
    window = face.window(-1.0, 1.0, 0.2, 1.9)
    fu, fv = face.surface(window)
    side = np.abs(fu)
    mouth = face.mouth_v
    rough = 0.045 * face.lookup(window, 2.0)
    full = t["beard_extent"] > 0.35
    cheek = mouth - 0.10 - 0.75 * np.maximum(side - 0.30, 0.0) - fv
    goatee = np.maximum(side - 0.36, mouth + 0.05 - fv)
    region = select(full, cheek, goatee) + rough
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


def draw_hat(face: Face) -> None:
    """A knitted cap or, with a brim, a baseball cap."""
    t = face.t
    window = face.window(-1.7, 1.7, -2.6, -0.3)
    u, v, fv = face.u[window], face.v[window], face.fv[window]
    edge = -0.74 + 0.08 * face.fu[window] ** 2
    half = face.width + 0.16
    q = np.minimum(v + 0.5, 0.0) / (face.top - 0.5 + 0.34)
    q2 = q * q
    dome = np.sqrt((u / half) ** 2 + 0.65 * q2 + 0.35 * q2 * q2) - 1.0
    colour = dull([t[f"hat_{c}"] for c in ("red", "green", "blue")])
    lx, _ = face.light
    round_ = 0.95 - 0.45 * (u / half) ** 2 + 0.35 * lx * u + 0.18 * q
    ribs = fraction((u / half) * 9.0)
    band = face.cover(edge - 0.26 - fv, soft=0.02)
    knit = (
        round_
        * (1.0 - 0.22 * band * 4.0 * ribs * (1 - ribs))
        * (1.0 - 0.25 * bump(fv - edge + 0.28, 0.0, 0.07, 1.0))
    )
    alpha = face.cover(np.maximum(dome, fv - edge)) * t["hat"]
    face.paint(alpha, [np.clip(knit, 0.15, 1.3) * c for c in colour], window)
    brim_v = fv - edge - 0.06 + 0.16 * np.maximum(1.0 - (u / 1.0) ** 2, 0.0)
    brim = np.maximum(np.abs(brim_v) - 0.13, np.abs(u - face.turn) - 1.02)
    front = face.cover(brim) * t["hat"] * (t["hat_brim"] > 0.5)
    face.paint(
        front, [np.clip(0.5 + 0.25 * lx * u - 1.2 * brim_v, 0.15, 1.1) * c for c in colour], window
    )
