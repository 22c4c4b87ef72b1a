"""The numbers behind procedural faces: what stays with a person, what changes between pictures.

Traits are arrays [N] by name, one row a picture: numbers of about unit variance (shapes, colours),
fractions in [0, 1) and booleans. They are drawn by counting, so row k depends on the seed and on
its own number alone.
"""

import numpy as np

# How far men lie above and women below the mean of each factor, in standard deviations of either.
_MALE_SHIFT = {
    "head_width": 0.3,
    "head_height": 0.1,
    "jaw_width": 0.7,
    "jaw_squareness": 0.6,
    "chin_length": 0.3,
    "cheek_fullness": 0.0,
    "ear_size": 0.3,
    "eye_spacing": 0.0,
    "eye_size": -0.4,
    "eye_openness": -0.2,
    "eye_tilt": -0.3,
    "eye_height": 0.0,
    "iris_lightness": 0.0,
    "brow_thickness": 0.7,
    "brow_arch": -0.6,
    "brow_height": -0.5,
    "nose_length": 0.2,
    "nose_width": 0.4,
    "nose_tip": 0.0,
    "mouth_width": 0.2,
    "mouth_height": 0.0,
    "upper_lip": -0.3,
    "lower_lip": -0.3,
    "skin_darkness": 0.0,
    "skin_warmth": 0.0,
    "hair_darkness": 0.0,
    "hair_warmth": 0.0,
    "hairline": 0.4,
    "hair_length": -1.3,
    "hair_volume": -0.3,
    "hair_wave": -0.2,
    "hair_parting": 0.0,
    "freckles": 0.0,
    "rosiness": -0.2,
    "age": 0.0,
}
IDENTITY_FACTOR_NAMES: tuple[str, ...] = tuple(_MALE_SHIFT)

_IDENTITY_STREAM, _PICTURE_STREAM = 1, 2


def _mix(bits: np.ndarray) -> np.ndarray:
    """Mixes each uint64, [N], so that every bit depends on all (SplitMix64, Steele 2014)."""
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


class _Draws:
    """Random numbers per row, counter-based: what a row draws does not depend on other rows."""

    def __init__(self, seed: int, stream: int, rows: np.ndarray):
        """Takes the data set's seed, the stream and the rows' numbers, int64 [N]."""
        key = _mix(np.array([seed], np.uint64) * np.uint64(2) + np.uint64(stream))
        self._keys = _mix(key ^ _mix(rows.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)))
        self._count = 0

    def uniform(self, low: float = 0.0, high: float = 1.0) -> np.ndarray:
        """float64 [N], uniform in [low, high)."""
        self._count += 1
        step = np.array([self._count], np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        return low + (high - low) * ((_mix(self._keys + step) >> np.uint64(11)) * 2.0**-53)

    def bell(self) -> np.ndarray:
        """float64 [N], zero mean, unit variance, within +-3: no face is impossible."""
        return 2.0 * (self.uniform() + self.uniform() + self.uniform() - 1.5)

    def chance(self, probability: np.ndarray | float) -> np.ndarray:
        """Boolean [N], true with the given probability."""
        return self.uniform() < probability


def identity_traits(seed: int, identities: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Draws what stays with a face.

    Args:
        seed: number of the data set, >= 0 and below 2**63.
        identities: int64 [N], equal numbers for equal faces.

    Returns:
        The factors, float32 [N, F] in the order of `IDENTITY_FACTOR_NAMES`, of about zero mean and
        unit variance; and the traits made of them, name -> [N] float64 or boolean.
    """
    draws = _Draws(seed, _IDENTITY_STREAM, identities)
    male = draws.chance(0.5)
    sign = np.where(male, 1.0, -1.0)
    traits = {
        name: (draws.bell() + shift * sign) / np.sqrt(1.0 + shift**2)
        for name, shift in _MALE_SHIFT.items()
    }
    traits["hair_darkness"] = 0.6 * traits["skin_darkness"] + 0.8 * traits["hair_darkness"]
    factors = np.stack([traits[name] for name in IDENTITY_FACTOR_NAMES], axis=1).astype(np.float32)
    traits["male"] = male
    traits |= _hair_traits(draws, traits) | _beard_traits(draws, traits)
    traits |= _marked_features(traits)
    traits["glasses_owner"] = draws.chance(0.22)
    traits["glasses_round"] = draws.uniform()
    traits["glasses_tone"] = draws.uniform()
    traits["lipstick_habit"] = np.where(male, 0.01, draws.uniform(0.15, 1.0))
    traits["iris_hue"] = draws.uniform()
    for name in ("mole_u", "mole_v", "mole_side", "texture_u", "texture_v"):
        traits[name] = draws.uniform()
    return factors, traits


def _marked_features(traits: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Features beyond a threshold, bool [N] each; the drawing exaggerates them visibly."""
    return {
        "arched": traits["brow_arch"] > 0.5,
        "big_lips": traits["upper_lip"] + traits["lower_lip"] > 0.9,
        "big_nose": traits["nose_width"] + 0.5 * traits["nose_length"] > 0.7,
        "bushy": traits["brow_thickness"] > 0.75,
        "chubby": traits["cheek_fullness"] + 0.5 * traits["head_width"] > 0.95,
        "narrow_eyes": traits["eye_openness"] < -0.95,
        "pale": traits["skin_darkness"] < -0.9,
    }


def _hair_traits(draws: _Draws, traits: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Draws bald heads, bangs and kinds of hair colour, one of each face; bool [N] each."""
    age, darkness, warmth = traits["age"], traits["hair_darkness"], traits["hair_warmth"]
    bald = traits["male"] & (traits["hairline"] + 0.4 * age + 0.4 * draws.bell() > 1.45)
    gray = age + 0.35 * draws.bell() > 1.05
    red = (darkness < 0.5) & (warmth > 1.25) & ~gray
    plain = ~(gray | red)
    return {
        "bald": bald,
        "gray": gray,
        "red": red,
        "black": plain & (darkness > 0.5),
        "brown": plain & (darkness <= 0.5) & (darkness > -0.5),
        "blond": plain & (darkness <= -0.5),
        "bangs": ~bald & draws.chance(np.where(traits["male"], 0.12, 0.32)),
    }


def _beard_traits(draws: _Draws, traits: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Draws beards and mustaches, full or alone, none on women; bool or float64 [N] each."""
    male = traits["male"]
    beard = male & draws.chance(0.66)
    mustache = male & draws.chance(np.where(beard, 0.55, 0.2))
    return {
        "beard": beard,
        "mustache": mustache,
        "beard_density": draws.uniform(0.55, 0.97),
        "beard_extent": draws.uniform(),
        "mustache_size": draws.uniform(),
    }


def picture_traits(
    seed: int, pictures: np.ndarray, identity: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Draws what changes from picture to picture: expression, things worn, pose, light, scene.

    Args:
        seed: number of the data set, >= 0 and below 2**63.
        pictures: int64 [N], the number of each picture.
        identity: the traits of the faces on them, from `identity_traits`.

    Returns:
        The traits of the moment, name -> [N] float64 or boolean; no name is in `identity`.
    """
    draws = _Draws(seed, _PICTURE_STREAM, pictures)
    smiling = draws.chance(0.46)
    mouth_open = draws.chance(np.where(smiling, 0.62, 0.2))
    lipstick = draws.chance(identity["lipstick_habit"])
    makeup = ~identity["male"] & draws.chance(np.where(lipstick, 0.6, 0.12))
    rosy = draws.uniform() < np.where(makeup, 0.25, 0.03) + 0.8 * (identity["rosiness"] > 1.05)
    worn = {
        "smiling": smiling,
        "smile": np.where(smiling, draws.uniform(0.6, 1.0), draws.uniform(-0.12, 0.14)),
        "mouth_open": mouth_open,
        "mouth_gap": np.where(mouth_open, draws.uniform(0.55, 1.0), 0.0),
        "lipstick": lipstick,
        "lipstick_hue": draws.uniform(),
        "makeup": makeup,
        "rosy": rosy,
        "glasses": draws.chance(np.where(identity["glasses_owner"], 0.85, 0.05)),
        "hat": ~identity["bald"] & draws.chance(0.12),
        "hat_brim": draws.uniform(),
    }
    bells = (
        "yaw",
        "pitch",
        "roll",
        "shift_x",
        "shift_y",
        "scale",
        "gaze_x",
        "gaze_y",
        "brow_raise",
    )
    uniforms = (
        *("light_x", "light_y", "light_strength", "light_warmth", "exposure", "noise", "grain"),
        *("hat_red", "hat_green", "hat_blue", "shirt_red", "shirt_green", "shirt_blue", "collar"),
        *("back_hue", "back_tone", "back_contrast", "back_x", "back_y", "back_kind"),
        *(f"blob{i}_{what}" for i in range(3) for what in ("x", "y", "size", "tone", "hue")),
    )
    worn |= {name: np.clip(draws.bell(), -2.2, 2.2) for name in bells}
    return worn | {name: draws.uniform() for name in uniforms}
