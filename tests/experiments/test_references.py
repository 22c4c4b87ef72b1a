"""References: which audits may stand beside which, and the settings of one that is made."""

import dataclasses
import json

import numpy as np
import pytest

from arl_tf.auditing import measures_file
from arl_tf.config.scopes import marked
from arl_tf.config.settings import Config
from arl_tf.data import image_sets, splits
from arl_tf.experiments import references
from arl_tf.experiments.experiment import Experiment
from arl_tf.experiments.run_directory import RunDirectory
from arl_tf.metrics.reconstruction import MEASURES


def measures_of(value, count=4):
    return {measure: np.full(count, value) for measure in MEASURES}


def some_images(shade=0, label=0, other_label=0):
    """240 images of 60 people; one picture, label or other label is as given."""
    images = np.zeros((240, 32, 32, 3), np.uint8)
    labels, others = np.zeros((240, 2), np.uint8), np.zeros((240, 1), np.uint8)
    images[7, 3, 3, 0], labels[7, 1], others[7, 0] = shade, label, other_label
    return image_sets.ImageSet(
        images=images,
        attributes=labels,
        identities=np.arange(240) // 4,
        attribute_names=("Male", "Young"),
        names=tuple(f"{row}.jpg" for row in range(240)),
        bad_images=(),
        identities_known=True,
        other_attributes=others,
        other_attribute_names=("Bald",),
    )


ROWS = np.arange(10)
MEASURED = measures_file.measured_images(some_images(), ROWS)
CHANGED = {"shade": 200, "label": 1, "other_label": 1}


def read(config, attacked=MEASURED):
    """What an audit of some images reads of its --reference."""
    return measures_file.load_measures(references.check_audited(config), config.reference, attacked)


def reference_run(folder, **changes):
    names = {name for mark in ("audit", "model") for name in marked(Config, "shared", value=mark)}
    settings = {name: getattr(Config(), name) for name in sorted(names)}
    settings |= {"defence": "none", **changes}
    (folder / "audit").mkdir(parents=True)
    (folder / "stages.json").write_text(json.dumps({"audit_test": settings}))
    path, per_image = folder / "audit" / "measures.npz", {"decoder": measures_of(0.6)}
    measures_file.save_measures(path, per_image, ["decoder"], MEASURED, (8, 8))
    return Config(reference=str(folder))


def test_reference_is_read_back(tmp_path):
    found = read(reference_run(tmp_path / "run"))
    assert list(found.per_attack) == ["decoder"]
    assert found.code_shape == (8, 8)
    np.testing.assert_array_equal(found.per_attack["decoder"]["ssim"], np.full(4, 0.6))
    assert not list((tmp_path / "run" / "audit").glob("unfinished*"))


def test_reference_of_an_earlier_version_is_refused_with_the_remedy(tmp_path):
    config = reference_run(tmp_path / "run")
    path = tmp_path / "run" / "audit" / "measures.npz"
    with np.load(path) as saved:
        older = {name: saved[name] for name in saved.files if name != "version"}
    np.savez_compressed(path, **older)
    with pytest.raises(ValueError, match=r"earlier version.*audit it again: --stages=audit --over"):
        read(config)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"defence": "perceptual"}, "must be unprotected"),
        ({"cut": "late"}, r"--cut='late' \(now: 'middle'\)"),
        ({"attacker_steps": 9000}, r"--attacker_steps=9000 \(now: 1500\)"),
        ({"public_share": 0.01}, r"--public_share=0.01 \(now: 1.0\)"),
        ({"channel_noise": 0.5}, "audited with --channel_noise=0.5"),
        ({"audit": "full"}, r"--audit='full' \(now: 'standard'\)"),
    ],
)
def test_reference_that_does_not_compare_is_refused(tmp_path, changes, message):
    config = reference_run(tmp_path / "run", **changes)
    with pytest.raises(ValueError, match=message):
        read(config)


def test_reference_of_images_with_other_names_is_refused(tmp_path):
    config = reference_run(tmp_path / "run")
    others = measures_file.measured_images(some_images(), ROWS + 1)
    with pytest.raises(ValueError, match="measured on other images"):
        read(config, others)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ("shade", "same names, but with other pixels"),
        ("label", "other labels of Young"),
        ("other_label", "other labels of Bald"),
    ],
)
def test_reference_of_other_pictures_or_labels_by_the_same_names_is_refused(
    tmp_path, changed, message
):
    config = reference_run(tmp_path / "run")
    others = some_images(**{changed: CHANGED[changed]})
    with pytest.raises(ValueError, match=message):
        read(config, measures_file.measured_images(others, ROWS))
    # What is not under attack may differ: X2 of another size, or --public_dataset.
    beyond = measures_file.measured_images(others, np.arange(5))
    assert beyond == measures_file.measured_images(some_images(), np.arange(5))


def test_labels_of_another_task_do_not_matter_to_a_reference(tmp_path):
    others = dataclasses.replace(
        some_images(), attribute_names=("Chubby", "Male"), other_attributes=None
    )
    assert read(
        reference_run(tmp_path / "run"), measures_file.measured_images(others, ROWS)
    ).per_attack


def test_reference_that_knows_no_pixels_is_taken_with_a_warning(tmp_path, caplog):
    config = reference_run(tmp_path / "run")
    path = tmp_path / "run" / "audit" / "measures.npz"
    with np.load(path) as saved:
        older = {name: saved[name] for name in saved.files if not name.endswith("_sha256")}
    np.savez_compressed(path, **older)
    assert read(config, measures_file.measured_images(some_images(**CHANGED), ROWS)).per_attack
    assert "no hash of their pixels" in caplog.text


@pytest.mark.parametrize("changed", [*CHANGED])
def test_reference_of_a_cache_is_not_taken_over_by_other_pictures_or_labels(tmp_path, changed):
    config = Config(dataset="celeba", data_dir="here", cache_dir=str(tmp_path))

    def key(images, config=config):
        parts = splits.split_by_identity(images.identities, config)
        experiment = Experiment(config, RunDirectory(tmp_path), images, parts)
        return references.reference_key(config, experiment)

    elsewhere = dataclasses.replace(config, data_dir="there")
    assert key(some_images()) == key(some_images(), elsewhere)
    assert key(some_images()) != key(some_images(**{changed: CHANGED[changed]}), elsewhere)


def test_reference_of_a_cache_is_not_taken_over_by_other_pictures_of_the_attackers(
    tmp_path, monkeypatch
):
    config, images = Config(num_faces=240), some_images()
    parts = splits.split_by_identity(images.identities, config)
    experiment, keys = Experiment(config, RunDirectory(tmp_path), images, parts), set()
    for shade in (0, 1):
        others = np.full((9, 32, 32, 3), shade, np.uint8)
        monkeypatch.setattr(references, "load_other_images", lambda _, others=others: others)
        keys.add(references.reference_key(config, experiment))
    assert len(keys) == 2


def test_audit_of_external_codes_may_be_a_reference_whatever_its_defence(tmp_path):
    config = reference_run(tmp_path / "run", codes="codes.npz", defence="perceptual", cut="late")
    assert read(config).workdir == str(tmp_path / "run")


def test_reference_without_an_audit_is_refused_with_the_remedy(tmp_path):
    with pytest.raises(ValueError, match="--defence=none"):
        read(Config(reference=str(tmp_path)))
