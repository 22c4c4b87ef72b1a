"""Which models and versions are wanted: folders, TF Serving's config format, and wrong configs."""

import pytest
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from serving.server import batching, layout, model_config
from serving.server.model_config import VersionPolicy


def versions(folder, *names):
    for name in names:
        (folder / str(name)).mkdir(parents=True)
    return folder


@pytest.mark.parametrize(
    ("policy", "chosen"),
    [
        (VersionPolicy(), (10,)),
        (VersionPolicy(latest=2), (2, 10)),
        (VersionPolicy(latest=9), (1, 2, 10)),
        (VersionPolicy(latest=None), (1, 2, 10)),
        (VersionPolicy(latest=None, specific=(10, 1, 7)), (1, 10)),
    ],
)
def test_policy_chooses_by_number(policy, chosen):
    assert policy.choose([10, 1, 2]) == chosen


def test_only_folders_with_positive_whole_names_are_versions(tmp_path):
    versions(tmp_path, 1, "007", "0", "-3", ".5", "tmp", "1e3", "²", str(2**63), "9" * 200)
    (tmp_path / "9").write_text("a file")
    assert set(layout.version_folders(tmp_path)) == {1, 7}


def test_folder_holds_a_model_for_each_folder_with_versions(tmp_path):
    versions(tmp_path / "encoder", 1)
    versions(tmp_path / ".hidden", 1)
    versions(tmp_path / "empty")
    (tmp_path / "notes.txt").write_text("")
    assert set(model_config.sources_in_folder(tmp_path)) == {"encoder"}


def test_folder_of_a_single_model_is_refused_with_both_remedies(tmp_path):
    versions(tmp_path, 1)
    with pytest.raises(ValueError, match=r"give the folder above it.* --model_name"):
        model_config.sources_in_folder(tmp_path)


def test_named_model_takes_the_version_folders_as_they_lie(tmp_path):
    versions(tmp_path, 1, 3)
    (source,) = model_config.source_of_model("face", tmp_path).values()
    assert (source.name, set(source.versions())) == ("face", {3})


def test_named_model_waits_for_its_first_version(tmp_path):
    assert model_config.source_of_model("face", tmp_path)["face"].versions() == {}


def test_named_model_is_refused_where_models_or_no_versions_are(tmp_path):
    save(tmp_path / "models" / "encoder" / "1")
    save(tmp_path / "bare")
    for folder, advice in (
        ("models", f"give {tmp_path / 'models' / 'encoder'}"),
        ("bare", f"move what is in it to {tmp_path / 'bare' / '1'}"),
    ):
        with pytest.raises(ValueError, match=r"--model_name=face: No versions") as raised:
            model_config.source_of_model("face", tmp_path / folder)
        assert advice in str(raised.value)


def save(folder):
    """Stands for a SavedModel."""
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"")


def test_folder_that_is_a_saved_model_is_refused_with_what_was_found(tmp_path):
    save(tmp_path / "encoder" / "1")
    with pytest.raises(ValueError) as raised:
        model_config.sources_in_folder(tmp_path / "encoder" / "1")
    words = str(raised.value)
    assert f"--model_base_path={tmp_path / 'encoder' / '1'} holds no model" in words
    assert "Found there: saved_model.pb, variables/." in words
    assert "encoder/1/saved_model.pb" in words
    assert f"There is a model in {tmp_path / 'encoder' / '1'}: give {tmp_path}." in words


@pytest.mark.parametrize(
    ("saved", "found", "advice"),
    [
        (None, "nothing.", ""),
        ("encoder", "encoder/.", "encoder holds saved_model.pb itself: move what is in it to"),
        ("encoder/v1", "encoder/.", "encoder/v1 holds saved_model.pb: rename it to"),
        ("export/saved_model/encoder/v1", "export/.", "encoder/1 and give"),
        ("export/saved_model/encoder/7", "export/.", "export/saved_model."),
        ("a/b/c/d/e/f/1", "a/.", ""),
    ],
)
def test_folder_without_models_is_described_with_what_was_found(tmp_path, saved, found, advice):
    if saved:
        save(tmp_path / saved)
    words = layout.no_models(tmp_path)
    assert f"--model_base_path={tmp_path} holds no model" in words
    assert f"Found there: {found}" in words
    assert "Expected: a folder a model" in words
    assert advice in words
    assert advice or words.endswith("encoder/1/saved_model.pb.")


def test_version_folder_of_another_name_is_to_be_renamed_at_its_place(tmp_path):
    save(tmp_path / "encoder" / "v1")
    words = layout.no_models(tmp_path)
    assert words.endswith(f"rename it to {tmp_path / 'encoder' / '1'}.")
    words = layout.no_versions("encoder", tmp_path / "encoder")
    assert words.endswith(f"rename it to {tmp_path / 'encoder' / '1'}.")


@pytest.mark.parametrize("name", ["gone", "file"])
def test_what_is_no_folder_of_models_is_described(tmp_path, name):
    (tmp_path / "file").write_text("")
    for read in (
        model_config.sources_in_folder,
        lambda path: model_config.source_of_model("encoder", path),
    ):
        with pytest.raises(FileNotFoundError) as raised:
            read(tmp_path / name)
        assert "Expected: a folder a " in str(raised.value)


def test_model_without_versions_is_described_in_tf_servings_words(tmp_path):
    for name in "abcdefgh":
        (tmp_path / name).write_text("")
    words = layout.no_versions("encoder", tmp_path)
    assert f"No versions of servable encoder found under base path {tmp_path}" in words
    assert "a, b, c, d, e, f and 2 more" in words
    assert "no such folder" in layout.no_versions("encoder", tmp_path / "nowhere")
    assert "a file, no folder" in layout.no_versions("encoder", tmp_path / "a")


def parse(text):
    message = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    return model_config.sources_of(message)


def entry(text, times=1):
    if "model_platform" not in text:
        text += ' model_platform: "tensorflow"'
    body = f'config {{ name: "encoder" base_path: "/models/encoder" {text} }}'
    return f"model_config_list {{ {body * times} }}"


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("", VersionPolicy()),
        ("latest {}", VersionPolicy()),
        ("latest { num_versions: 3 }", VersionPolicy(latest=3)),
        ("all {}", VersionPolicy(latest=None)),
        ("specific { versions: 1 versions: 4 }", VersionPolicy(None, (1, 4))),
    ],
)
def test_policies_of_a_config_are_understood(text, policy):
    assert parse(entry(f"model_version_policy {{ {text} }}"))["encoder"].policy == policy


def test_labels_of_a_config_are_understood():
    source = parse(entry('version_labels { key: "stable" value: 4 }'))["encoder"]
    assert source.labels == {"stable": 4}
    assert str(source.base_path) == "/models/encoder"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "model_config_list"),
        ("custom_model_config {}", "model_config_list"),
        ("model_config_list { config { name: 'x' } }", "needs name and base_path"),
        ("model_config_list { config { base_path: '/x' } }", "needs name and base_path"),
        (entry('model_platform: "torch"'), "encoder requests unsupported platform torch"),
        (entry('model_platform: ""'), "setting neither ModelServerConfig::model_type"),
        (entry("").replace("/models", "gs://models"), "gs:// is not supported here"),
        (entry("").replace("/models", "~/models"), "neither ~ nor a variable is"),
        (entry("").replace("/models", "models"), r"absolute path or URI; got base_path\(\)=models"),
        (entry("model_version_policy { specific {} }"), "names no version"),
        (entry("", times=2), "Illegal to list model encoder multiple times"),
    ],
)
def test_config_that_can_not_be_served_is_refused_with_the_reason(text, words):
    with pytest.raises(ValueError, match=words):
        parse(text)


def test_file_that_is_no_config_is_refused_by_name(tmp_path):
    path = tmp_path / "models.config"
    path.write_text("models: [encoder]")
    with pytest.raises(ValueError, match=r"models\.config is no ModelServerConfig"):
        model_config.sources_in_file(path)


@pytest.mark.parametrize("read", [model_config.sources_in_file, batching.read_parameters])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid", "is a Git LFS pointer"),
        (b"", "is empty"),
        (b"\xff\xfe\x00", "is not text in UTF-8"),
        (b"models {", "in text format"),
    ],
)
def test_damaged_configuration_is_named_in_one_line_with_an_example(tmp_path, read, content, words):
    path = tmp_path / "server.config"
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match=rf"server\.config.*{words}.*is an example of --"
    ) as raised:
        read(path)
    assert "\n" not in str(raised.value)
