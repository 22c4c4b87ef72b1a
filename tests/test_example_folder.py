"""The example data: what is drawn is read back, and photos of CelebA's layout become folders."""

import pathlib
import types

import numpy as np
import pytest
from PIL import Image

from arl_tf import example_folder
from arl_tf.data.labelled import arrays, class_folders, shapes, table
from arl_tf.data.task_kinds import MULTI_LABEL, REGRESSION, SINGLE_LABEL


def written(folder, *arguments):
    assert example_folder.main([str(folder), "--images=12", "--images_per_room=6", *arguments]) == 0
    return folder


def test_class_folders_hold_every_shape_by_room(tmp_path):
    found = class_folders.read(written(tmp_path / "set"))
    assert found.labels.names == shapes.SHAPES
    assert found.labels.values.sum(axis=0).tolist() == [4, 4, 4]
    assert np.bincount(found.groups).tolist() == [6, 6]


@pytest.mark.parametrize(
    ("columns", "kind"),
    [(("large", "striped"), MULTI_LABEL), (("shape",), SINGLE_LABEL), (("size",), REGRESSION)],
)
def test_a_table_has_labels_of_every_kind(tmp_path, columns, kind):
    folder = written(tmp_path / "set", "--layout=table")
    found = table.read(folder, columns, "room", "auto")
    assert found.labels.kind == kind and len(set(found.groups)) == 2
    assert set(found.other_names) == {"large", "striped"} - set(columns)
    assert all((folder / name).is_file() for name in found.files)


def test_arrays_hold_images_labels_groups_and_names(tmp_path):
    folder = written(tmp_path / "set", "--layout=numpy")
    settings = types.SimpleNamespace(data_dir=str(folder / "shapes.npz"), task_kind="auto")
    found = arrays.arrays_source(settings, lambda image: image[:32, :32])
    drawn = shapes.scenes(12, 6, 0)
    assert found.attribute_names == ("large", "striped")
    np.testing.assert_array_equal(found.attributes, np.stack([drawn.large, drawn.striped], 1))
    (chunk,) = found.read()
    np.testing.assert_array_equal(chunk.images, drawn.images[:, :32, :32])


def test_the_same_seed_draws_the_same_scenes_and_another_one_others():
    first, again, other = (shapes.scenes(6, 3, seed).images for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert first.shape == (6, shapes.HEIGHT, shapes.WIDTH, 3) and (first != other).any()


def celeba(folder: pathlib.Path) -> pathlib.Path:
    (folder / "img_align_celeba").mkdir(parents=True)
    for name in ("a.png", "b.png", "c.png"):
        Image.new("RGB", (4, 4)).save(folder / "img_align_celeba" / name)
    (folder / "list_attr_celeba.txt").write_text("3\nMale Young\na.png 1 1\nb.png -1 1\nc.png 1 -1")
    (folder / "identity_CelebA.txt").write_text("a.png 7\nb.png 8\nc.png 7")
    return folder


def test_photos_in_celebas_layout_become_folders_by_label_and_person(tmp_path, capsys):
    source = celeba(tmp_path / "source")
    assert example_folder.main([str(tmp_path / "out"), f"--celeba={source}", "--label=Male"]) == 0
    assert "3 images" in capsys.readouterr().out
    found = {str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*.png")}
    assert found == {"Male/person_7/a.png", "Male/person_7/c.png", "not_Male/person_8/b.png"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--images=0"], "must be >= 1, got 0"),
        (["--celeba=nowhere"], "No folder nowhere"),
        (["--celeba=source", "--label=Hat"], "has no attribute 'Hat'"),
    ],
)
def test_what_can_not_be_written_is_refused(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    celeba(tmp_path / "source")
    assert example_folder.main(["out", *arguments]) == example_folder.USAGE_ERROR
    assert message in capsys.readouterr().err


def test_a_folder_with_files_is_not_written_to(tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("kept")
    assert example_folder.main([str(tmp_path)]) == example_folder.USAGE_ERROR
    assert "is not empty" in capsys.readouterr().err
