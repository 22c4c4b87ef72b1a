"""SavedModels of strangers: refused before they are loaded, unless the user trusts them."""

import json
import shutil

import landlockpy
import pytest
import tensorflow as tf
from conftest import run_main
from saved_models import SIZE, cast_and_convolved, save_function

from arl_tf.config.settings import Config
from arl_tf.experiments import trusted_encoders
from arl_tf.experiments.encoding import encode_stage, encoders
from arl_tf.experiments.run_directory import RunDirectory
from arl_tf.utils import publishing


@pytest.fixture
def exporting_run(exported_models, tmp_path):
    """A run directory that exported two small models, with their manifest."""
    run = RunDirectory(tmp_path / "run")
    shutil.copytree(exported_models, run.export / "saved_model")
    files = publishing.describe_files(run.export)
    (run.export / "manifest.json").write_text(json.dumps({"files": files}))
    return run


def config_of(folder, **values):
    return Config(stages="audit", encoder_saved_model=str(folder), **values)


def writing_encoder(folder, written):
    """An encoder that leaves a file whenever it is called."""

    def encode(image, scale):
        with tf.control_dependencies([tf.io.write_file(str(written), "was here")]):
            return cast_and_convolved(image, scale)

    return save_function(folder, (None, SIZE, SIZE, 3), encode)


@pytest.mark.parametrize("stage", ["audit", "encode"])
def test_a_stranger_s_encoder_is_refused_and_has_written_nothing(tmp_path, stage):
    written = tmp_path / "written"
    model = writing_encoder(tmp_path / "model", written)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").touch()
    finished = run_main(
        f"--stages={stage}",
        f"--encoder_saved_model={model}",
        f"--encode_from={tmp_path / 'photos'}",
        f"--encode_to={tmp_path / 'codes'}",
        f"--workdir={tmp_path / 'run'}",
        "--image_size=32",
    )
    assert finished.returncode == 2
    refused = (f"--encoder_saved_model={model}", "read and write every file", "--trust_encoder")
    for words in refused:
        assert words in finished.stderr
    assert not written.exists()
    assert not (tmp_path / "run").exists() and not (tmp_path / "codes").exists()


def test_what_it_would_have_done_is_real(tmp_path):
    written = tmp_path / "written"
    model = writing_encoder(tmp_path / "model", written)
    encoders.load(encoders.EncoderSpec(saved_model=str(model), image_size=SIZE))
    assert written.read_text() == "was here"


@pytest.mark.skipif(not landlockpy.supported(), reason="the system has no Landlock (Linux 5.13)")
def test_the_flag_allows_it_in_a_process_that_may_not_write(tmp_path):
    written = tmp_path / "written"
    model = writing_encoder(tmp_path / "model", written)
    config = config_of(model, trust_encoder=True, image_size=SIZE)
    trusted_encoders.check(config, RunDirectory(tmp_path / "run"))
    spec = encode_stage.encoder_spec(config, RunDirectory(tmp_path / "run"))
    with pytest.raises(ValueError, match="written; Permission denied"):
        encoders.load(spec)
    assert not written.exists()


def test_a_run_s_own_export_needs_no_flag(exporting_run):
    for folder in ("encoder", "encoder/1"):
        trusted_encoders.check(
            config_of(
                exporting_run.export / "saved_model" / folder,
                task_head_saved_model=str(exporting_run.export / "saved_model" / "task_head"),
            ),
            exporting_run,
        )


@pytest.mark.parametrize("change", ["changed", "added", "other_run", "no_manifest"])
def test_what_the_manifest_does_not_vouch_for_is_no_export(exporting_run, tmp_path, change):
    run, folder = exporting_run, exporting_run.export / "saved_model" / "encoder" / "1"
    if change == "changed":
        (folder / "saved_model.pb").write_bytes((folder / "saved_model.pb").read_bytes() + b"\0")
    elif change == "added":
        (folder / "assets.extra").mkdir(exist_ok=True)
        (folder / "assets.extra" / "more").touch()
    elif change == "other_run":
        run = RunDirectory(tmp_path / "another")
    else:
        (run.export / "manifest.json").unlink()
    with pytest.raises(ValueError, match=r"is no export of .*--trust_encoder"):
        trusted_encoders.check(config_of(folder), run)


def test_trust_is_not_taken_over_by_a_later_command():
    assert Config.__dataclass_fields__["trust_encoder"].metadata["group"] == "run"
    for stage in ("audit", "export"):
        assert "trust_encoder" not in Config().stage_settings(stage)
