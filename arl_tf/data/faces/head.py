"""Draws the head itself: neck and clothes, ears, skin, and the relief that the light falls on."""

import numpy as np

from arl_tf.data.faces.canvas import Face, bump, choose, dull, fraction, smooth


def draw_body(face: Face) -> None:
    """Neck, its shadow, and clothes."""
    t = face.t
    window = face.window(-3.0, 3.0, 0.9, 3.0)
    u, v = face.u[window], face.v[window]
    lx, _ = face.light
    neck = 0.50 + 0.09 * t["male"] + 0.04 * t["cheek_fullness"] + 0.03 * t["jaw_width"]
    spread = np.maximum(v - 1.65, 0.0)
    round_ = 1.0 - 0.35 * (u / neck) ** 2 + 0.35 * lx * u
    under = smooth((v - face.chin) / 0.5)
    tone = np.clip(round_, 0.2, 1.2) * (0.5 + 0.38 * under)
    alpha = face.cover(np.abs(u) - neck - 0.9 * spread * spread)
    face.paint(
        alpha, [tone * c * k for c, k in zip(face.skin, (1.0, 0.96, 0.94), strict=True)], window
    )
    beside = np.abs(u) / 0.66
    scoop = (0.10 + 0.35 * t["collar"]) * np.sqrt(np.maximum(1.0 - beside * beside, 0.0))
    cloth = 1.86 + scoop + (0.15 + 0.05 * t["back_x"]) * np.maximum(beside - 1.0, 0.0) - v
    fold = 0.80 + 0.18 * lx * u + 0.10 * np.clip(v - 1.8, 0, 1) - 0.22 * bump(cloth, 0.0, 0.10, 1.0)
    shirt = dull([t[f"shirt_{c}"] for c in ("red", "green", "blue")])
    face.paint(face.cover(cloth), [fold * c for c in shirt], window)


def draw_ears(face: Face) -> None:
    """Ears, of which turning the head hides one."""
    t = face.t
    window = face.window(-1.35, 1.35, -0.4, 0.9)
    u, v = face.u[window], face.v[window]
    height = 0.30 + 0.035 * t["ear_size"]
    bulge = 0.15 + 0.03 * t["ear_size"]
    # Turning the head hides one ear and shows more of the other.
    side = choose(u > 0, 1.0, -1.0) * face.turn
    x, y = np.abs(u) - face.width - 0.15 * np.maximum(-side, 0.0) + 0.03, v - 0.22
    x = x + np.maximum(side, 0.0) * 0.45
    radius = np.sqrt((x / bulge) ** 2 + (y / height) ** 2)
    lx, _ = face.light
    tone = 0.80 + 0.25 * lx * np.sign(u) - 0.25 * bump(x - 0.02, y, 0.6 * bulge, 0.6 * height)
    face.paint(
        face.cover((radius - 1.0) * bulge),
        [tone * c * k for c, k in zip(face.skin, (1.0, 0.9, 0.88), strict=True)],
        window,
    )


def draw_skin(face: Face) -> None:
    """Skin with blush, freckles, a mole and lines of age, and the relief the light falls on."""
    t = face.t
    face.paint(face.head, face.skin)
    window = face.window(-1.0, 1.0, 0.0, 1.2)
    fu, fv = face.surface(window)
    side = np.abs(fu)
    blush = np.clip(0.22 + 0.1 * t["rosiness"], 0.05, 0.4) + 0.55 * t["rosy"]
    red = bump(side - 0.6, fv - 0.58, 0.42, 0.36) * blush + 0.4 * bump(fu, fv - 0.6, 0.3, 0.25)
    face.shade(red, (1.0, 0.70, 0.70), window)
    freckles = np.clip(face.lookup(window, 4.1) * 1.6 - 0.9, 0.0, 1.0)
    amount = np.clip(t["freckles"] - 0.5, 0.0, 1.2) * np.clip(1.2 - 0.5 * t["skin_darkness"], 0, 1)
    freckles *= 0.5 * amount * bump(side - 0.4, fv - 0.5, 0.65, 0.5)
    beside, below = (
        (0.2 + 0.5 * t["mole_u"]) * np.sign(t["mole_side"] - 0.5),
        0.35 + 0.75 * t["mole_v"],
    )
    mole = choose(np.abs(t["mole_side"] - 0.5) > 0.3, 1.0, 0.0)
    mole = mole * bump(fu - beside, fv - below, 0.085, 0.085)
    face.shade(np.maximum(freckles, mole), (0.45, 0.28, 0.2), window)
    _draw_age(face)
    _mould(face)


def _draw_age(face: Face) -> None:
    """Lines on the forehead, bags under the eyes, and the fold from nose to mouth."""
    t = face.t
    old = np.clip(0.5 * t["age"] + 0.1, 0.0, 1.0)
    window = face.window(-0.7, 0.7, -1.0, -0.4)
    fu, fv = face.surface(window)
    ripple = fraction((fv + 0.08 * fu * fu) * 6.5)
    lines = 16 * ripple * ripple * (1 - ripple) ** 2 * bump(fu, fv + 0.68, 0.75, 0.36)
    face.shade(lines * old * 0.55, (0.62, 0.52, 0.48), window)
    window = face.window(-0.95, 0.95, -0.3, 1.3)
    fu, fv = face.surface(window)
    side = np.abs(fu)
    bags = bump(side - 0.44, fv - 0.26, 0.30, 0.10)
    face.shade(bags * (0.15 + 0.6 * old), (0.66, 0.52, 0.52), window)
    smile = np.maximum(t["smile"], 0.0)
    path = (
        side
        - (0.24 + 0.03 * t["nose_width"])
        - 0.36 * np.maximum(fv - 0.55, 0.0) * (1 + 0.3 * smile)
    )
    fold = bump(path, fv - 0.84, 0.085, 0.34)
    face.shade(fold * np.clip(0.15 + 0.45 * old + 0.3 * smile, 0, 1), (0.66, 0.52, 0.48), window)


def _mould(face: Face) -> None:
    """Adds brow ridge, sockets, nose, cheeks, muzzle and chin to the relief of the head."""
    t = face.t
    window = face.window(-1.0, 1.0, -0.5, 1.75)
    (fu, fv), relief = face.surface(window), face.relief[window]
    side = np.abs(fu)
    eye_u, eye_v = face.eye
    smile = np.maximum(t["smile"], 0.0)
    relief += (0.05 + 0.02 * t["male"]) * bump(side - 0.38, fv + 0.26, 0.45, 0.2)
    relief -= 0.13 * bump(side - eye_u + 0.03, fv - eye_v + 0.03, 0.36, 0.24)
    relief += (0.07 + 0.05 * smile) * bump(side - 0.55, fv - 0.52 + 0.06 * smile, 0.40, 0.36)
    relief += 0.07 * bump(fu, fv - 1.0, 0.55, 0.42)
    relief -= 0.05 * bump(fu, fv - face.mouth_v - 0.31, 0.35, 0.13)
    relief += 0.09 * bump(fu, fv - face.chin + 0.24, 0.34, 0.26)
    _mould_nose(face)


def _mould_nose(face: Face) -> None:
    t = face.t
    window = face.window(-0.5, 0.5, -0.4, 1.0)
    (fu, fv), relief = face.surface(window), face.relief[window]
    tip = 0.62 + 0.075 * t["nose_length"]
    wide = 0.97 + 0.15 * t["nose_width"] + 0.16 * t["big_nose"]
    down = np.clip((fv + 0.2) / (tip + 0.2), 0.0, 1.2)
    # What stands out of the face moves further when the head turns.
    nu = fu - face.turn * 0.42 * np.minimum(down, 1.0)
    bridge = bump(nu, 0.0, 0.24 * wide * (0.72 + 0.28 * down), 1.0)
    relief += 0.32 * bridge * down * smooth((tip + 0.14 - fv) / 0.2)
    relief += (0.15 + 0.035 * t["nose_tip"]) * bump(
        nu, fv - tip + 0.045 * t["nose_tip"], 0.19 * wide, 0.17 + 0.02 * t["nose_tip"]
    )
    relief += 0.15 * bump(np.abs(nu) - 0.19 * wide, fv - tip - 0.04, 0.13 * wide, 0.13)
    nostrils = bump(np.abs(nu) - 0.115 * wide, fv - tip - 0.115, 0.095 * wide, 0.06)
    face.shade(np.minimum(1.6 * nostrils, 0.85), (0.30, 0.18, 0.16), window)
    below = bump(nu, fv - tip - 0.17, 0.30 * wide, 0.11)
    face.shade(0.5 * below, (0.66, 0.52, 0.50), window)
    lx, _ = face.light
    cast = bump(nu + np.sign(lx) * 0.26 * wide, fv - tip + 0.12, 0.2, 0.42)
    face.shade(cast * np.minimum(np.abs(lx) * 0.7, 0.5), (0.62, 0.48, 0.46), window)


def light_head(face: Face) -> None:
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
    fall = smooth(1.0 - (face.fv - face.hairline) / 0.26) * (1 - t["bald"]) * (face.fv < 0.3)
    shade = shade * (1.0 - 0.38 * np.maximum(fall, t["hat"] * smooth(1.0 - (face.fv + 0.66) / 0.4)))
    gloss = facing * facing
    gloss = gloss * gloss
    gloss = gloss * gloss
    gloss = gloss * gloss * face.head * (0.09 + 0.05 * t["bald"] * (face.v < -0.6))
    for plane, soft in zip(face.planes, (0.16, 0.05, 0.02), strict=True):
        lit = shade + soft * (1.0 - shade)
        plane *= 1.0 + face.head * (lit - 1.0)
        plane += gloss
