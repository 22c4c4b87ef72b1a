"""Who sees what: images under attack are sealed until the attacks are done."""

import dataclasses

import numpy as np
import pytest

from arl_tf.attacks import evidence
from arl_tf.auditing import sealed_images
from arl_tf.auditing.channel import Channel
from arl_tf.auditing.encoders.audited import AuditedEncoder
from arl_tf.auditing.sealed_images import SealedError, SealedImages, audited_rows, some_people
from arl_tf.config.settings import Config
from arl_tf.data.faces import generation
from arl_tf.data.image_sets import ImageSet
from arl_tf.data.splits import split_by_identity

IMAGES = np.arange(10, dtype=np.uint8).reshape(10, 1, 1, 1).repeat(3, axis=3)


def image_set(count=400):
    return ImageSet(
        images=np.zeros((count, 8, 8, 3), np.uint8),
        attributes=np.zeros((count, 1), np.uint8),
        identities=np.arange(count) // 3,
        attribute_names=("Even",),
        names=tuple(f"image_{row}" for row in range(count)),
        bad_images=(),
        identities_known=True,
    )


def sealed():
    return SealedImages(IMAGES, np.array([3, 4]), "name")


@pytest.mark.parametrize("rows", [np.array([0, 3]), np.array([4]), 3, [3, 4], np.int64(4)])
def test_image_under_attack_cannot_be_read_before_measuring(rows):
    with pytest.raises(SealedError, match="under attack"):
        sealed()[rows]


def test_other_images_can_be_read_and_after_unsealing_all():
    images = sealed()
    np.testing.assert_array_equal(images[np.array([1, 9])], IMAGES[[1, 9]])
    images.unseal()
    np.testing.assert_array_equal(images[np.array([3, 4])], IMAGES[[3, 4]])
    assert len(images) == 10


def test_codes_of_sealed_images_leave_and_the_images_do_not():
    audited_encoder = AuditedEncoder(
        "toy", "hash", (1,), Channel(), encoder=lambda images: images[:, 0, 0, :1].astype("f4")
    )
    codes = sealed().codes(audited_encoder, np.array([3, 4]), seed=0)
    np.testing.assert_array_equal(codes, [[3.0], [4.0]])


def test_evidence_has_no_field_for_images_under_attack():
    fields = {field.name for field in dataclasses.fields(evidence.Evidence)}
    assert not [name for name in fields if "target" in name and name != "target_codes"]
    pairs = {field.name for field in dataclasses.fields(evidence.PublicPairs)}
    assert pairs == {"codes", "images", "held_out_codes", "held_out_images"}


@pytest.mark.parametrize("audit_split", ["test", "validation"])
def test_attackers_see_public_images_only_and_never_those_they_are_measured_on(audit_split):
    images = image_set()
    splits = split_by_identity(images.identities, Config())
    rows = audited_rows(splits, audit_split, images.identities)
    public = set(splits.public_train) | set(splits.public_validation)
    target = set(rows.target)
    assert target == set(splits.test if audit_split == "test" else splits.public_validation)
    seen, held_out = set(rows.attacker), set(rows.held_out)
    assert seen | held_out <= public
    assert not (seen | held_out) & target
    assert not seen & held_out


def test_some_people_are_whole_and_a_smaller_sample_is_part_of_a_larger_one():
    identities = np.arange(600) // 3 % 50
    rows = np.arange(0, 600, 2)
    small, large = (some_people(rows, identities, count) for count in (40, 90))
    assert 40 <= len(small) < 55 and set(small) < set(large) < set(rows)
    np.testing.assert_array_equal(small, rows[np.isin(identities[rows], identities[small])])
    for count in (0, 10_000):
        np.testing.assert_array_equal(some_people(rows, identities, count), rows)


def test_audit_of_some_people_keeps_the_roles_of_the_others():
    images = image_set()
    splits = split_by_identity(images.identities, Config())
    whole, some = (audited_rows(splits, "test", images.identities, n) for n in (0, 20))
    assert 20 <= len(some.target) < len(whole.target)
    for part in ("attacker", "held_out", "utility"):
        np.testing.assert_array_equal(getattr(whole, part), getattr(some, part))


def people(images, rows):
    return set(images.identities[rows])


@pytest.mark.parametrize("audit_split", ["test", "validation"])
def test_nobody_is_both_public_and_under_attack(audit_split):
    images = image_set()
    splits = split_by_identity(images.identities, Config())
    rows = audited_rows(splits, audit_split, images.identities)
    assert not people(images, rows.target) & people(images, rows.attacker)
    assert not people(images, rows.held_out) & people(images, rows.attacker)


def test_fingerprint_changes_with_a_name_and_with_pixels():
    images = image_set(20)
    other_pixels = dataclasses.replace(images, images=images.images + np.uint8(1))
    other_names = dataclasses.replace(images, names=(*images.names[1:], "x"))
    prints = {sealed_images.fingerprint(each) for each in (images, other_pixels, other_names)}
    assert len(prints) == 3


def test_mirrored_images_stand_behind_the_others():
    images = np.arange(12, dtype=np.uint8).reshape(1, 2, 2, 3)
    both = sealed_images.mirrored(images)
    np.testing.assert_array_equal(both[0], images[0])
    np.testing.assert_array_equal(both[1], images[0, :, ::-1])


def test_further_images_are_drawn_faces_or_variations_of_photographs():
    drawn = generation.generate_faces(60, 32, seed=0, images_per_identity=4)
    images = dataclasses.replace(image_set(60), images=drawn.images)
    more, again = (
        sealed_images.further_images(images, images.images[:20], drawn_faces=True, seed=0)(5, 1)
        for _ in range(2)
    )
    np.testing.assert_array_equal(more, again)
    known = {image.tobytes() for image in images.images}
    assert not known & {image.tobytes() for image in more}
    photographs = sealed_images.further_images(images, images.images[:4], drawn_faces=False, seed=0)
    varied = photographs(7, 0)
    assert varied.shape == (7, 32, 32, 3)
