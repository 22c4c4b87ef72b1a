"""Versions come, go and are replaced while requests run; half-copied ones never serve."""

import contextlib
import logging
import shutil
import threading
import types

import grpc
import pytest
from waiting import LONG, wait_for

from serving.server.errors import ServingError
from serving.server.model_config import ModelSource, VersionPolicy, sources_in_folder
from serving.server.model_store import ModelStore


def add(folder, version, content="ok"):
    path = folder / "model" / str(version)
    path.mkdir(parents=True)
    (path / "file").write_text(content)
    return path


def fake_load(name, version, path):
    """Stands for servable.load: a folder whose file says `broken` can't be loaded."""
    content = (path / "file").read_text()
    if content != "ok":
        raise ValueError(f"{path} is {content}")
    return types.SimpleNamespace(name=name, version=version)


def store_of(folder, load=fake_load, policy=None, **options):
    policy = policy or VersionPolicy()
    return ModelStore(lambda: sources_in_folder(folder, policy), load, **options)


def served(store, **which):
    with store.lease("model", **which) as servable:
        return servable.version


def states(store):
    return {status.version: status.state for status in store.status("model")}


def code_of(call, *args, **options):
    with pytest.raises(ServingError) as caught:
        call(*args, **options)
    return caught.value.code


@contextlib.contextmanager
def capture_absl_logs():
    """Messages of warnings and errors that absl's logger gets meanwhile."""
    messages = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: messages.append(record.getMessage())
    logger = logging.getLogger("absl")
    logger.addHandler(handler)
    try:
        yield messages
    finally:
        logger.removeHandler(handler)


def test_latest_version_is_served_by_default(tmp_path):
    for version in (1, 2, 10):
        add(tmp_path, version)
    store = store_of(tmp_path)
    store.poll(settled=True)
    assert served(store) == 10
    assert states(store) == {10: "AVAILABLE"}


def test_all_versions_are_served_when_the_policy_says_so(tmp_path):
    for version in (1, 2):
        add(tmp_path, version)
    store = store_of(tmp_path, policy=VersionPolicy(latest=None))
    store.poll(settled=True)
    assert [served(store, version=version) for version in (1, 2)] == [1, 2]
    assert served(store) == 2


def test_new_version_replaces_the_old_one(tmp_path):
    add(tmp_path, 1)
    store = store_of(tmp_path)
    store.poll(settled=True)
    add(tmp_path, 2)
    store.poll()
    store.poll()
    assert served(store) == 2
    assert states(store) == {1: "END", 2: "AVAILABLE"}
    assert code_of(served, store, version=1) == grpc.StatusCode.NOT_FOUND


def test_folder_that_still_changes_is_left_alone(tmp_path):
    store = store_of(tmp_path)
    path = add(tmp_path, 1, "half")
    store.poll()
    (path / "file").write_text("ok")
    (path / "more").write_text("")
    store.poll()
    assert states(store) == {1: "LOADING"}
    store.poll()
    assert states(store) == {1: "AVAILABLE"}


def test_empty_folder_of_a_version_is_not_tried(tmp_path):
    (tmp_path / "model" / "1").mkdir(parents=True)
    store = store_of(tmp_path)
    store.poll(settled=True)
    assert states(store) == {1: "LOADING"}


def test_half_copied_version_leaves_the_old_one_serving_and_is_served_once_complete(tmp_path):
    add(tmp_path, 1)
    store = store_of(tmp_path)
    store.poll(settled=True)
    path = add(tmp_path, 2, "broken")
    for _ in range(3):
        store.poll()
    assert served(store) == 1
    (status,) = store.status("model", 2)
    assert status.state == "END"
    assert "broken" in status.error
    (path / "file").write_text("ok")
    store.poll()
    store.poll()
    assert served(store) == 2


def test_broken_version_is_retried_so_often_and_no_more(tmp_path):
    tries = []

    def load(name, version, path):
        tries.append(version)
        raise ValueError("broken")

    add(tmp_path, 1)
    store = store_of(tmp_path, load, max_load_retries=2)
    for _ in range(6):
        store.poll(settled=True)
    assert len(tries) == 3


def test_old_version_serves_while_the_new_one_loads(tmp_path):
    loading, go_on = threading.Event(), threading.Event()

    def load(name, version, path):
        if version == 2:
            loading.set()
            wait_for(go_on)
        return fake_load(name, version, path)

    add(tmp_path, 1)
    store = store_of(tmp_path, load)
    store.poll(settled=True)
    add(tmp_path, 2)
    thread = threading.Thread(target=store.poll, kwargs={"settled": True})
    thread.start()
    wait_for(loading)
    assert served(store) == 1
    assert states(store) == {1: "AVAILABLE", 2: "LOADING"}
    go_on.set()
    thread.join()
    assert served(store) == 2


def test_replaced_version_is_kept_until_its_last_request_ends(tmp_path):
    add(tmp_path, 1)
    store = store_of(tmp_path)
    store.poll(settled=True)
    with store.lease("model") as first, store.lease("model"):
        add(tmp_path, 2)
        store.poll(settled=True)
        assert states(store) == {1: "UNLOADING", 2: "AVAILABLE"}
        assert first.version == 1
        assert served(store) == 2
    assert states(store) == {1: "END", 2: "AVAILABLE"}


def test_deleted_version_goes_and_an_older_one_takes_over(tmp_path):
    add(tmp_path, 1)
    path = add(tmp_path, 2)
    store = store_of(tmp_path)
    store.poll(settled=True)
    with store.lease("model") as servable:
        shutil.rmtree(path)
        store.poll(settled=True)
        assert servable.version == 2
        assert served(store) == 1
    assert states(store) == {1: "AVAILABLE", 2: "END"}


def test_version_that_comes_back_is_served_again(tmp_path):
    add(tmp_path, 1)
    store = store_of(tmp_path)
    store.poll(settled=True)
    add(tmp_path, 2)
    store.poll(settled=True)
    shutil.rmtree(tmp_path / "model" / "2")
    store.poll(settled=True)
    assert served(store) == 1


def test_deleted_model_is_gone(tmp_path):
    add(tmp_path, 1)
    store = store_of(tmp_path)
    store.poll(settled=True)
    shutil.rmtree(tmp_path / "model")
    store.poll()
    assert store.names() == ()
    assert code_of(served, store) == grpc.StatusCode.NOT_FOUND
    assert code_of(store.status, "model") == grpc.StatusCode.NOT_FOUND


def test_unreadable_disk_leaves_what_is_served(tmp_path):
    add(tmp_path / "models", 1)
    store = store_of(tmp_path / "models")
    store.poll(settled=True)
    (tmp_path / "models").rename(tmp_path / "away")
    with pytest.raises(FileNotFoundError):
        store.poll()
    assert served(store) == 1


def test_watching_survives_an_unreadable_disk_and_finds_what_comes_later(tmp_path):
    looked = threading.Semaphore(0)

    def read_sources():
        looked.release()
        return sources_in_folder(tmp_path / "models")

    store = ModelStore(read_sources, fake_load)
    store.watch(0.01)
    for _ in range(2):
        assert looked.acquire(timeout=LONG)
    add(tmp_path / "models", 1)
    for _ in range(4):
        assert looked.acquire(timeout=LONG)
    store.close()
    assert served(store) == 1


def test_fault_that_stays_is_logged_once(tmp_path):
    looked = threading.Semaphore(0)

    def read_sources():
        looked.release()
        raise ValueError("models.config is no ModelServerConfig")

    store = ModelStore(read_sources, fake_load)
    with capture_absl_logs() as logs:
        store.watch(0.01)
        for _ in range(5):
            assert looked.acquire(timeout=LONG)
        store.close()
    assert logs == [
        "Models stay as they are; they can't be looked for: models.config is no ModelServerConfig"
    ]


def test_load_that_fails_in_a_new_way_keeps_no_other_version_out(tmp_path):
    def load(name, version, path):
        if version == 2:
            raise RuntimeError("nobody thought of that")
        return fake_load(name, version, path)

    store = store_of(tmp_path, load)
    for version in (2, 3):
        add(tmp_path, version)
        store.poll(settled=True)
    assert served(store) == 3
    assert states(store) == {2: "END", 3: "AVAILABLE"}


def test_config_that_names_only_versions_that_are_not_on_disk_ends_the_serving_until_they_are(
    tmp_path,
):
    add(tmp_path, 1)
    sources = Changing(labelled(tmp_path, {}, [1]))
    store = ModelStore(sources, fake_load)
    store.poll(settled=True)
    sources.now = labelled(tmp_path, {}, [2])
    store.poll(settled=True)
    assert states(store) == {1: "END"}
    add(tmp_path, 2)
    store.poll(settled=True)
    assert states(store) == {1: "END", 2: "AVAILABLE"}


def labelled(folder, labels, versions=()):
    policy = VersionPolicy(latest=None, specific=tuple(versions))
    return {"model": ModelSource("model", folder / "model", policy, labels)}


REFUSED = (
    "Request to assign label to version 2 of model model, which is not currently available for"
    " inference"
)


class Changing:
    """Sources that a test changes between polls."""

    def __init__(self, sources):
        self.now = sources

    def __call__(self):
        return self.now


@pytest.mark.parametrize("policy", [(), (1, 2)])
def test_label_in_use_moves_in_a_second_edit_and_not_in_the_one_that_adds_the_version(
    tmp_path, policy
):
    for version in (1, 2):
        add(tmp_path, version)
    sources = Changing(labelled(tmp_path, {"stable": 1, "canary": 1}, (1,)))
    store = ModelStore(sources, fake_load, labels_for_unavailable=True)
    store.poll(settled=True)
    sources.now = labelled(tmp_path, {"stable": 1, "canary": 2}, policy)
    with capture_absl_logs() as logs:
        for _ in range(3):
            store.poll(settled=True)
    assert [message for message in logs if REFUSED in message] == [
        f"The config stays as it was: {REFUSED}"
    ]
    assert states(store) == {1: "AVAILABLE"}
    assert served(store, label="canary") == 1
    # The two edits of README.md.
    sources.now = labelled(tmp_path, {"stable": 1, "canary": 1}, policy)
    store.poll(settled=True)
    sources.now = labelled(tmp_path, {"stable": 1, "canary": 2}, policy)
    store.poll(settled=True)
    assert (served(store, label="stable"), served(store, label="canary")) == (1, 2)


def test_refused_config_leaves_the_one_before_it_watched(tmp_path):
    add(tmp_path, 1)
    sources = Changing(labelled(tmp_path, {"canary": 1}))
    store = ModelStore(sources, fake_load, labels_for_unavailable=True)
    store.poll(settled=True)
    sources.now = labelled(tmp_path, {"canary": 3})
    add(tmp_path, 2)
    store.poll(settled=True)
    assert states(store) == {1: "AVAILABLE", 2: "AVAILABLE"}
    assert served(store, label="canary") == 1


def test_first_config_with_labels_needs_the_flag(tmp_path):
    add(tmp_path, 2)
    store = ModelStore(lambda: labelled(tmp_path, {"stable": 2}), fake_load)
    with pytest.raises(ServingError, match=REFUSED) as raised:
        store.poll(settled=True)
    assert raised.value.code == grpc.StatusCode.FAILED_PRECONDITION
    assert store.names() == ()


def test_new_label_may_go_before_its_version_with_the_flag_alone(tmp_path):
    add(tmp_path, 1)
    for allowed in (False, True):
        sources = Changing(labelled(tmp_path, {}))
        store = ModelStore(sources, fake_load, labels_for_unavailable=allowed)
        store.poll(settled=True)
        sources.now = labelled(tmp_path, {"new": 2})
        store.poll(settled=True)
        expected = grpc.StatusCode.NOT_FOUND if allowed else grpc.StatusCode.INVALID_ARGUMENT
        assert code_of(served, store, label="new") == expected


def test_label_that_no_config_names_any_more_is_gone(tmp_path):
    add(tmp_path, 1)
    sources = Changing(labelled(tmp_path, {}))
    store = ModelStore(sources, fake_load)
    store.poll(settled=True)
    sources.now = labelled(tmp_path, {"stable": 1})
    store.poll(settled=True)
    assert served(store, label="stable") == 1
    sources.now = labelled(tmp_path, {})
    store.poll(settled=True)
    assert code_of(served, store, label="stable") == grpc.StatusCode.INVALID_ARGUMENT


def test_label_stays_with_a_version_that_is_unloaded_and_finds_nothing(tmp_path):
    for version in (1, 2):
        add(tmp_path, version)
    sources = Changing(labelled(tmp_path, {"stable": 1}, (1, 2)))
    store = ModelStore(sources, fake_load, labels_for_unavailable=True)
    store.poll(settled=True)
    sources.now = labelled(tmp_path, {"stable": 1}, (2,))
    store.poll(settled=True)
    with pytest.raises(ServingError, match=r"Servable not found for request: Specific\(model, 1\)"):
        served(store, label="stable")


def test_model_without_versions_is_told_once_with_what_was_found(tmp_path):
    (tmp_path / "model" / "v1").mkdir(parents=True)
    store = ModelStore(lambda: labelled(tmp_path, {}), fake_load)
    with capture_absl_logs() as logs:
        for _ in range(3):
            store.poll(settled=True)
    (told,) = logs
    assert f"No versions of servable model found under base path {tmp_path / 'model'}" in told
    assert "Found there: v1/." in told


def test_model_whose_folder_is_gone_is_told_with_what_is_there_instead(tmp_path):
    store = ModelStore(lambda: labelled(tmp_path / "nowhere", {}), fake_load)
    with capture_absl_logs() as logs:
        store.poll(settled=True)
    (told,) = logs
    assert "Model model stays as it is: No versions of servable model found" in told
    assert f"Found there: no such folder; {tmp_path} holds nothing. Expected:" in told


def test_replaced_sources_that_lack_a_label_or_a_new_model_change_nothing(tmp_path):
    add(tmp_path, 1)
    store = store_of(tmp_path)
    store.poll(settled=True)
    nowhere = ModelSource("new", tmp_path / "nowhere")
    none_on_disk = ModelSource("new", tmp_path / "model", VersionPolicy(None, specific=(7,)))
    for sources in (
        labelled(tmp_path, {"stable": 7}),
        labelled(tmp_path, {"stable": 2}, versions=(1,)),
        {"new": nowhere},
        labelled(tmp_path, {}) | {"new": none_on_disk},
    ):
        assert code_of(store.replace_sources, sources) == grpc.StatusCode.FAILED_PRECONDITION
    store.poll()
    assert served(store) == 1


@pytest.mark.parametrize(
    ("versions", "served_then", "words"),
    [((1, 7), (1,), "The others are served."), ((7,), (), "None is served.")],
)
def test_versions_of_a_known_model_that_are_not_on_disk_are_logged_and_not_refused(
    tmp_path, versions, served_then, words
):
    add(tmp_path, 1)
    store = store_of(tmp_path)
    store.poll(settled=True)
    with capture_absl_logs() as logs:
        store.replace_sources(labelled(tmp_path, {}, versions))
    told = f"Versions [7] of model model are wanted and not in {tmp_path / 'model'}, which has [1]."
    assert f"{told} {words}" in logs
    available = [version for version, state in states(store).items() if state == "AVAILABLE"]
    assert tuple(available) == served_then


def test_replaced_sources_serve_what_loads_and_tell_what_does_not(tmp_path):
    add(tmp_path, 1)
    add(tmp_path, 2, "broken")
    store = store_of(tmp_path)
    with pytest.raises(ServingError, match=r"model version 2: .* is broken"):
        store.replace_sources(labelled(tmp_path, {}))
    assert served(store) == 1
