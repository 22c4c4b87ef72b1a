"""What the audit hands to attackers, and what it keeps from them until they are done."""

import dataclasses
import hashlib
from collections.abc import Callable

import numpy as np

from arl_tf.auditing.encoders.audited import AuditedEncoder
from arl_tf.data import augmentation
from arl_tf.data.faces import generation
from arl_tf.data.image_sets import ImageSet
from arl_tf.data.splits import Splits, sampled

# Fresh drawn faces of an adversary who has more of them: another data set than the run's.
MORE_FACES_SEED = 1_000_003


class SealedError(RuntimeError):
    """Somebody asked for an image under attack before the attacks were done."""


class SealedImages:
    """The data set's images, of which those under attack can't be read until `unseal`."""

    def __init__(self, images: np.ndarray, sealed_rows: np.ndarray, fingerprint: str):
        """Takes uint8 [N, S, S, 3], the rows to seal, and a name for the images as they are."""
        self._images = images
        self.fingerprint = fingerprint
        self._sealed = frozenset(sealed_rows.tolist())
        self._open = False

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """Images uint8 [n, S, S, 3] of int rows [n]; SealedError for a sealed one."""
        asked = np.atleast_1d(np.asarray(rows))
        if not self._open and not self._sealed.isdisjoint(asked.tolist()):
            number = len(self._sealed.intersection(asked.tolist()))
            raise SealedError(
                f"{number} of the {asked.size} images asked for are under attack: nobody reads"
                " them before the attacks are done."
            )
        return np.asarray(self._images[rows])

    def unseal(self) -> None:
        """From now on every image can be read; the attacks are over."""
        self._open = True

    def codes(self, audited_encoder: AuditedEncoder, rows: np.ndarray, seed: int) -> np.ndarray:
        """Codes float32 [n, ...] of any rows int [n]: of sealed ones, too; the images stay."""
        return audited_encoder.codes_of(rows, self._images, seed)


@dataclasses.dataclass(frozen=True)
class Rows:
    """Which images play which part in an audit; int64 row numbers."""

    attacker: np.ndarray
    held_out: np.ndarray
    utility: np.ndarray
    target: np.ndarray


def audited_rows(
    splits: Splits, audit_split: str, identities: np.ndarray, target_images: int = 0
) -> Rows:
    """The parts' roles: on T for the final figures, on validation parts where settings are chosen.

    Attackers see X2 only, in both cases. On validation, reconstructions are measured on X2's
    validation part, and the attackers' held-out images are people taken from X2's training part.
    Utility is always measured on the whole part.

    Args:
        splits: the parts.
        audit_split: "test" or "validation".
        identities: int [N], of all images.
        target_images: about how many images are attacked, all of each person; 0: the whole part.
    """
    if audit_split == "test":
        target = some_people(splits.test, identities, target_images)
        return Rows(splits.public_train, splits.public_validation, splits.test, target)
    people = np.unique(identities[splits.public_train])
    held_out = np.isin(identities[splits.public_train], people[::10])
    return Rows(
        splits.public_train[~held_out],
        splits.public_train[held_out],
        splits.private_validation,
        some_people(splits.public_validation, identities, target_images),
    )


def some_people(rows: np.ndarray, identities: np.ndarray, count: int) -> np.ndarray:
    """Those of some people among rows int64 [n]: at least `count`, all of each person; 0: all rows.

    The people of a smaller sample are among those of a larger one, and no seed decides them: audits
    of the same images stay comparable. `identities` int [N] are those of all images.
    """
    if not count:
        return rows
    people, person, images = np.unique(identities[rows], return_inverse=True, return_counts=True)
    order = np.random.default_rng(12).permutation(len(people))
    before = np.cumsum(images[order]) - images[order]
    return rows[np.isin(person, order[before < count])]


def fingerprint(images: ImageSet) -> str:
    """A name for a data set's prepared images: their names, and the pixels of some of them."""
    digest = hashlib.sha256("\n".join(images.names).encode())
    digest.update(sampled(images.images).tobytes())
    return digest.hexdigest()


def mirrored(images: np.ndarray) -> np.ndarray:
    """Images [N, S, S, 3] and behind them their mirror images: [2 N, S, S, 3], of their type."""
    return np.concatenate([images, images[:, :, ::-1]])


def further_images(
    images: ImageSet, public: np.ndarray, *, drawn_faces: bool, seed: int
) -> Callable[[int, int], np.ndarray]:
    """A source of further public images: freshly drawn faces, or photographs cut and lit anew.

    Args:
        images: the data set.
        public: uint8 [N, S, S, 3], the public photographs at hand.
        drawn_faces: whether more of the images can be drawn.
        seed: of the audit.

    Returns:
        (count, number of the draw) -> uint8 [count, S, S, 3].
    """
    if drawn_faces:
        return lambda count, number: (
            generation.generate_faces(
                count,
                images.images.shape[1],
                seed=seed + MORE_FACES_SEED + number,
                images_per_identity=1,
            ).images
        )
    return lambda count, number: augmentation.augmented(public, count, number)
