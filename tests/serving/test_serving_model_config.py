"""Which models and versions are wanted: folders, TF Serving's config format, and wrong configs."""

import pytest
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from serving import model_config
from serving.model_config import VersionPolicy


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
    versions(tmp_path, 1, "007", "0", "-3", ".5", "tmp", "1e3", "²")
    (tmp_path / "9").write_text("a file")
    assert set(model_config.version_folders(tmp_path)) == {1, 7}


def test_folder_holds_a_model_for_each_folder_with_versions(tmp_path):
    versions(tmp_path / "encoder", 1)
    versions(tmp_path / ".hidden", 1)
    versions(tmp_path / "empty")
    (tmp_path / "notes.txt").write_text("")
    assert set(model_config.sources_in_folder(tmp_path)) == {"encoder"}


def test_folder_of_a_single_model_is_refused_with_the_remedy(tmp_path):
    versions(tmp_path, 1)
    with pytest.raises(ValueError, match="give the folder above it"):
        model_config.sources_in_folder(tmp_path)


def parse(text):
    message = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    return model_config.sources_of(message)


def entry(text, times=1):
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
        (entry('model_platform: "torch"'), "'torch' is not served"),
        (entry("model_version_policy { specific {} }"), "names no version"),
        (entry("", times=2), "'encoder' twice"),
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
