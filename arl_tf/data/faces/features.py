"""Draws the features on the skin: eyes, brows and mouth, and the glasses before the eyes."""

import numpy as np

from arl_tf.data.faces.canvas import Face, Window, bump, fraction, mix_colours, ramp, select, smooth


def draw_eyes(face: Face) -> None:
    """Lids, lid shadow, crease, the white with its iris, and lashes; both eyes at once."""
    t = face.t
    window = face.window(-0.9, 0.9, -0.4, 0.45)
    fu, fv = face.surface(window)
    eye_u, eye_v = face.eye
    wide = 0.228 + 0.022 * t["eye_size"]
    smile = np.maximum(t["smile"], 0.0)
    side = select(fu > 0, 1.0, -1.0)
    x = (fu * side - eye_u) / wide
    y = fv - eye_v + (0.03 + 0.028 * t["eye_tilt"]) * x
    openness = np.clip(1.0 + 0.17 * t["eye_openness"] - 0.12 * smile, 0.5, 1.5)
    height = (
        wide * (0.54 + 0.03 * t["eye_size"]) * openness * select(t["narrow_eyes"] > 0, 0.62, 1.0)
    )
    arc = 1.0 - x * x
    upper, lower = (
        -y - height * arc * (1.12 - 0.1 * x),
        y - 0.62 * height * arc - 0.1 * smile * height,
    )
    slit = np.maximum(upper, lower)
    makeup = t["makeup"]
    lid = bump(x * 0.8, y + 1.25 * height + 0.015, 1.15, 0.20)
    shadow = [0.62 - 0.1 * makeup, 0.52 - 0.18 * makeup, 0.52 - 0.02 * makeup]
    face.shade(lid * (0.35 + 0.45 * makeup), shadow, window)
    crease = bump(-y - height * arc * 1.1 - 0.075 * openness, x * 0.8, 0.035, 1.0)
    face.shade(crease * 0.6, (0.52, 0.40, 0.38), window)
    white = face.cover(slit)
    depth = np.clip(-upper / (0.9 * height), 0.0, 1.0)
    shade = 0.58 + 0.36 * depth - 0.14 * np.clip(np.abs(x) - 0.5, 0, 1)
    face.paint(white, [shade * c for c in (0.98, 0.95, 0.94)], window)
    _draw_iris(face, window, white, x * wide * side, y, height)
    lash = bump(upper, np.maximum(np.abs(x) - 0.75, 0.0), 0.045 + 0.02 * makeup, 0.45)
    face.paint(
        np.minimum(lash * (0.95 - 0.15 * t["male"] + 0.5 * makeup), 1.0), [0.09, 0.06, 0.05], window
    )
    under = bump(lower, np.maximum(np.abs(x) - 0.6, 0.0), 0.035, 0.5)
    face.shade(under * (0.5 + 0.3 * makeup), (0.5, 0.34, 0.32), window)


def _draw_iris(
    face: Face, window: Window, white: np.ndarray, x: np.ndarray, y: np.ndarray, height: np.ndarray
) -> None:
    """Iris, pupil and glint of both eyes, on coordinates [n, h, w] from each eye's middle."""
    t = face.t
    x = x - 0.022 * t["gaze_x"]
    y = y + 0.07 * height - 0.008 * t["gaze_y"]
    radius = np.sqrt(x * x + y * y)
    size = 0.120
    light = np.clip(0.25 + 0.3 * t["iris_lightness"] - 0.25 * t["skin_darkness"], 0.0, 1.0)
    pale = ramp(t["iris_hue"], (0.32, 0.52, 0.72), (0.36, 0.56, 0.50), (0.50, 0.47, 0.28))
    iris = mix_colours([0.20, 0.11, 0.06], pale, light)
    rim = (
        1.15
        - 0.55 * smooth((radius - 0.6 * size) / (0.5 * size))
        + 0.25 * np.clip(y / size, -0.8, 0.8)
    )
    face.paint(white * face.cover(radius - size), [rim * c for c in iris], window)
    face.paint(white * face.cover(radius - 0.048), [0.02, 0.02, 0.02], window)
    lx, _ = face.light
    glint = np.sqrt((x - 0.045 * np.sign(lx)) ** 2 + (y + 0.045) ** 2) - 0.030
    face.paint(0.85 * white * face.cover(glint), [1.0, 1.0, 1.0], window)


def draw_brows(face: Face) -> None:
    """Frayed arcs in a darker tone of the hair."""
    t = face.t
    window = face.window(-0.95, 0.95, -0.75, 0.05)
    fu, fv = face.surface(window)
    eye_u, eye_v = face.eye
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


def draw_mouth(face: Face) -> None:
    """Lips, the gap between them, teeth."""
    t = face.t
    window = face.window(-0.75, 0.75, 0.6, 1.55)
    fu, fv = face.surface(window)
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
    bow = 1.0 - 0.28 * bump(x, 0.0, 0.32, 1.0)
    beyond = 0.5 * wide * (np.abs(x) - 1.0)
    top = np.maximum(-line - gap - upper_lip * arc * bow, beyond)
    bottom = line - gap * 1.2 - lower_lip * arc * (1.25 - 0.25 * x * x)
    lips = face.cover(np.maximum(top, bottom), soft=0.02)
    natural = [c * k for c, k in zip(face.skin, (0.86, 0.62, 0.60), strict=True)]
    stick = ramp(t["lipstick_hue"], (0.72, 0.05, 0.12), (0.78, 0.16, 0.32), (0.50, 0.06, 0.16))
    colour = mix_colours(natural, stick, 0.85 * t["lipstick"])
    relief = select(line < 0, 0.80, 1.02) + 0.28 * bump(
        line - gap - 0.5 * lower_lip, x, 0.07, 0.7
    ) * (1 + t["lipstick"])
    face.paint(lips * (0.82 + 0.18 * t["lipstick"]), [relief * c for c in colour], window)
    face.shade(bump(bottom - 0.05, x, 0.09, 0.9) * 0.4, (0.60, 0.48, 0.46), window)
    hole = np.maximum(np.maximum(-line - gap, line - gap * 1.2), beyond)
    inside = face.cover(hole) * smooth(t["mouth_gap"] * 4.0)
    face.paint(inside, [0.20, 0.05, 0.05], window)
    teeth = np.maximum(hole, line - gap * (0.35 + 0.45 * np.maximum(smile, 0.0)))
    bright = 0.95 - 0.45 * x * x
    face.paint(inside * face.cover(teeth), [bright * c for c in (0.97, 0.94, 0.89)], window)
    seam = (
        bump(np.abs(line), x, 0.030 + 0.012 * (1 - t["mouth_open"]), 1.12)
        * (1 - 0.9 * inside)
        * smooth(1.0 - 8.0 * beyond)
    )
    face.shade(seam * 0.9, (0.34, 0.18, 0.18), window)
    corners = bump(np.abs(x) - 1.0, line, 0.16, 0.06)
    face.shade(corners * 0.5, (0.5, 0.36, 0.35), window)


def draw_glasses(face: Face) -> None:
    """Rims, bridge and temples, and the tint and reflection of the lenses."""
    t = face.t
    window = face.window(-1.1, 1.1, -0.45, 0.6)
    fu, fv = face.surface(window)
    side = np.abs(fu - face.turn * 0.1)
    eye_u, eye_v = face.eye
    x, y = np.abs(side - eye_u - 0.02), np.abs(fv - eye_v - 0.05)
    wide, tall = 0.345, 0.25
    across, down = (x / wide) ** 2, (y / tall) ** 2
    corner = 0.28 * (np.sqrt(np.sqrt(across * across + down * down)) - 1.0)
    ring = np.sqrt(x * x + y * y) - 0.30
    lens = select(t["glasses_round"] > 0.6, ring, corner)
    thick = select(t["glasses_tone"] < 0.6, 0.040, 0.024)
    rim = np.abs(lens) - thick
    bridge = np.maximum(side - eye_u + 0.24, np.abs(fv - eye_v + 0.02 - 0.12 * side) - thick)
    temple = (
        np.maximum(eye_u + 0.3 - side, np.abs(fv - eye_v + 0.03) - thick)
        + 10.0
        - 10.0 * face.head[window]
    )
    frame = np.minimum(rim, np.minimum(bridge, temple))
    glass = face.cover(lens) * t["glasses"]
    streak = bump(fraction(1.1 * fu - 0.8 * fv + 0.15) - 0.5, 0.0, 0.15, 1.0)
    face.paint(glass * (0.05 + 0.13 * streak), [0.93, 0.96, 1.0], window)
    face.shade(t["glasses"] * bump(lens, 0.0, 0.13, 1.0) * 0.4, (0.6, 0.54, 0.52), window)
    tone = ramp(
        t["glasses_tone"],
        (0.03, 0.03, 0.04),
        (0.10, 0.05, 0.03),
        (0.32, 0.15, 0.08),
        (0.55, 0.50, 0.42),
    )
    gleam = 1.0 + 0.7 * np.clip(-(fv - eye_v) * 2.0, -0.4, 1.0)
    face.paint(face.cover(frame) * t["glasses"], [gleam * c for c in tone], window)
