"""References: which audits may stand beside which, and the settings of one that is made."""

import json

import numpy as np
import pytest

from arl_tf.auditing import measures_file
from arl_tf.config.scopes import marked
from arl_tf.config.settings import Config
from arl_tf.experiments import references
from arl_tf.metrics.reconstruction import MEASURES


def measures_of(value, count=4):
    return {measure: np.full(count, value) for measure in MEASURES}


def read(config, test_hash):
    """What an audit of images with that hash reads of its --reference."""
    return measures_file.load_measures(
        references.check_audited(config), config.reference, test_hash
    )


def reference_run(folder, **changes):
    names = {name for mark in ("audit", "model") for name in marked(Config, "shared", value=mark)}
    settings = {name: getattr(Config(), name) for name in sorted(names)}
    settings |= {"defence": "none", **changes}
    (folder / "audit").mkdir(parents=True)
    (folder / "stages.json").write_text(json.dumps({"audit_test": settings}))
    measures_file.save_measures(
        folder / "audit" / "measures.npz", {"decoder": measures_of(0.6)}, ["decoder"], "abc", (8, 8)
    )
    return Config(reference=str(folder))


def test_reference_is_read_back(tmp_path):
    found = read(reference_run(tmp_path / "run"), "abc")
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
        read(config, "abc")


@pytest.mark.parametrize(
    ("changes", "test_hash", "message"),
    [
        ({"defence": "perceptual"}, "abc", "must be unprotected"),
        ({"cut": "late"}, "abc", r"--cut='late' \(now: 'middle'\)"),
        ({"attacker_steps": 9000}, "abc", r"--attacker_steps=9000 \(now: 1500\)"),
        ({"public_share": 0.01}, "abc", r"--public_share=0.01 \(now: 1.0\)"),
        ({"channel_noise": 0.5}, "abc", "audited with --channel_noise=0.5"),
        ({"audit": "full"}, "abc", r"--audit='full' \(now: 'standard'\)"),
        ({}, "other", "measured on other images"),
    ],
)
def test_reference_that_does_not_compare_is_refused(tmp_path, changes, test_hash, message):
    config = reference_run(tmp_path / "run", **changes)
    with pytest.raises(ValueError, match=message):
        read(config, test_hash)


def test_audit_of_external_codes_may_be_a_reference_whatever_its_defence(tmp_path):
    config = reference_run(tmp_path / "run", codes="codes.npz", defence="perceptual", cut="late")
    assert read(config, "abc").workdir == str(tmp_path / "run")


def test_reference_without_an_audit_is_refused_with_the_remedy(tmp_path):
    with pytest.raises(ValueError, match="--defence=none"):
        read(Config(reference=str(tmp_path)), "abc")
