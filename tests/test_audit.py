"""The audit's bookkeeping: who sees what, what counts as worst, and leakage worked out by hand."""

import json

import numpy as np
import pytest

from arl_tf import attacks, audit, leakage, rulers
from arl_tf.config import Config
from arl_tf.data import ImageSet
from arl_tf.rulers import MEASURES
from arl_tf.splits import split_by_identity

ONES = np.ones((1, 4))


def measures_of(value, count=4):
    return {measure: np.full(count, float(value)) for measure in MEASURES}


def reference_of(value):
    return leakage.Reference(
        "runs/reference", measures_of(value), dict.fromkeys(MEASURES, "decoder")
    )


def per_image(attacked, task_output, mean_image):
    return {
        "decoder": measures_of(attacked),
        "task_output": measures_of(task_output),
        "mean_image": measures_of(mean_image),
    }


@pytest.mark.parametrize(
    ("attacked", "expected"), [(0.2, 0.0), (0.6, 1.0), (0.3, 0.25), (0.7, 1.25), (0.1, -0.25)]
)
def test_leakage_is_the_share_of_what_the_unprotected_encoder_gives_beyond_the_floor(
    attacked, expected
):
    found = leakage.leakage(
        "ssim", per_image(attacked, 0.2, 0.1), "decoder", reference_of(0.6), ONES
    )
    assert found["value"] == pytest.approx(expected)
    assert found["ci95"] == pytest.approx([expected, expected])


def test_floor_is_the_better_of_the_two():
    found = leakage.leakage("ssim", per_image(0.5, 0.1, 0.4), "decoder", reference_of(0.6), ONES)
    assert found["value"] == pytest.approx(0.5)


def test_leakage_is_null_without_a_reference_or_where_the_reference_leaks_nothing():
    values = per_image(0.3, 0.2, 0.1)
    assert leakage.leakage("ssim", values, "decoder", None, ONES)["value"] is None
    assert leakage.leakage("ssim", values, "decoder", reference_of(0.2), ONES)["value"] is None


def test_worst_attack_is_chosen_for_each_measure():
    one, other = measures_of(0.5), measures_of(0.4)
    other["ssim"] = np.full(4, 0.9)
    worst = leakage.worst_attacks({"one": one, "other": other})
    assert worst["ssim"] == "other"
    assert worst["psnr"] == "one"


def numbered_images(count=400, size=8):
    """Images whose pixels spell their row number: any array of them says where it comes from."""
    images = np.zeros((count, size, size, 3), np.uint8)
    images[..., 0] = (np.arange(count) // 250)[:, None, None]
    images[..., 1] = (np.arange(count) % 250)[:, None, None]
    return ImageSet(
        images=images,
        attributes=(np.arange(count)[:, None] % np.array([2, 3]) == 0).astype(np.uint8),
        identities=np.arange(count) // 3,
        attribute_names=("Even", "Third"),
        names=tuple(f"image_{row}" for row in range(count)),
        bad_images=(),
        identities_known=True,
    )


def row_numbers(images):
    pixels = np.asarray(images).reshape(len(images), -1, 3).max(axis=1).astype(int)
    return set((pixels[:, 0] * 250 + pixels[:, 1]).tolist())


@pytest.mark.parametrize("audit_split", ["test", "validation"])
def test_attackers_see_public_images_only_and_never_those_they_are_measured_on(
    monkeypatch, audit_split
):
    images = numbered_images()
    config = Config(audit_split=audit_split, bootstrap_samples=100)
    splits = split_by_identity(images.identities, config)
    seen = []

    def spy(pairs, target_codes, *, name, **_):
        seen.append((row_numbers(pairs.images), row_numbers(pairs.held_out_images)))
        pictures = np.zeros((len(target_codes), *images.images.shape[1:]), np.float32)
        return attacks.AttackResult(name, "black-box", {}, 0.0, (1.0,), pictures)

    monkeypatch.setattr(audit.attacks, "decoder_attack", spy)
    monkeypatch.setattr(audit, "outputs_of_images", lambda _, x: x.reshape(len(x), -1) / 255.0)
    monkeypatch.setattr(audit, "outputs", lambda _, codes: codes[:, :2])
    monkeypatch.setattr(audit.rulers, "load_rulers", lambda *_, **__: None)
    monkeypatch.setattr(
        audit.rulers, "examine", lambda _, x, identities: rulers.Originals(x / 255.0, identities, x)
    )
    monkeypatch.setattr(audit.rulers, "measure", lambda *a: measures_of(0.5, len(a[1])))
    report = audit.audit(
        config, images, splits, encoder=None, task_head=None, perceptual_features=None
    )
    public = set(splits.public_train) | set(splits.public_validation)
    target = set(splits.test if audit_split == "test" else splits.public_validation)
    assert len(seen) == 2
    for trained_on, held_out in seen:
        assert trained_on | held_out <= public
        assert not (trained_on | held_out) & target
        assert not trained_on & held_out
    assert set(report.names) == {f"image_{row}" for row in target}
    assert report.content["measured_on"]["images"] == len(target)


def test_mean_image_floor_is_the_public_mean_for_every_target():
    public = np.stack([np.zeros((2, 2, 3)), np.full((2, 2, 3), 255)]).astype(np.uint8)
    floor = audit.repeated_mean(public, 3)
    assert floor.shape == (3, 2, 2, 3)
    np.testing.assert_allclose(floor, 0.5)


def reference_run(folder, **changes):
    settings = {name: getattr(Config(), name) for name in leakage.SHARED_WITH_REFERENCE}
    settings |= {"defence": "none", **changes}
    (folder / "audit").mkdir(parents=True)
    (folder / "stages.json").write_text(json.dumps({"audit_test": settings}))
    arrays = {f"decoder/{measure}": np.full(4, 0.6) for measure in MEASURES}
    np.savez(folder / "audit" / "measures.npz", attacks=["decoder"], test_hash="abc", **arrays)
    return Config(reference=str(folder))


def test_reference_is_read_back(tmp_path):
    found = leakage.load_reference(reference_run(tmp_path / "run"), "abc")
    assert found.worst_attack["ssim"] == "decoder"
    np.testing.assert_array_equal(found.worst["ssim"], np.full(4, 0.6))


@pytest.mark.parametrize(
    ("changes", "test_hash", "message"),
    [
        ({"defence": "perceptual"}, "abc", "must be unprotected"),
        ({"cut": "late"}, "abc", r"--cut='late' \(now: 'middle'\)"),
        ({"attacker_steps": 9000}, "abc", r"--attacker_steps=9000 \(now: 1500\)"),
        ({}, "other", "measured on other images"),
    ],
)
def test_reference_that_does_not_compare_is_refused(tmp_path, changes, test_hash, message):
    config = reference_run(tmp_path / "run", **changes)
    with pytest.raises(ValueError, match=message):
        leakage.load_reference(config, test_hash)


def test_reference_without_an_audit_is_refused_with_the_remedy(tmp_path):
    with pytest.raises(ValueError, match="--defence=none"):
        leakage.load_reference(Config(reference=str(tmp_path)), "abc")
