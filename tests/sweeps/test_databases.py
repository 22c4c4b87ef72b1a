"""The list of points in a database: shared, told apart by folder, no password anywhere."""

import os
import signal
import subprocess
import sys

import pytest
from commands import ROOT, run_module
from waiting import OF_A_PROCESS

from arl_tf.config.settings import Config
from arl_tf.experiments.sweeps.trial_queue import STORAGE, TrialQueue
from arl_tf.experiments.sweeps.trials import Trial

POINTS = [Trial(f"noise_{n}", f"noise {n}", {"code_noise": float(n)}) for n in range(3)]
# A database on a PostgreSQL server, such as postgresql://postgres@localhost/test.
POSTGRES = os.environ.get("ARL_TF_TEST_POSTGRES", "")


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/shared.db"


@pytest.mark.slow
def test_processes_with_one_database_never_take_the_same_point(tmp_path, url):
    first, second = (TrialQueue(tmp_path / "sweep", "points", 1, url) for _ in range(2))
    first.enqueue(POINTS)
    claims = [first.claim(), second.claim(), first.claim()]
    assert sorted(claim.point.name for claim in claims) == [point.name for point in POINTS]
    assert second.claim() is None
    assert not (tmp_path / "sweep" / STORAGE).exists()


def test_folders_with_one_database_have_lists_of_their_own(tmp_path, url):
    first, second = (TrialQueue(tmp_path / name, "points", 1, url) for name in ("a", "b"))
    first.enqueue(POINTS)
    second.enqueue(POINTS[:1])
    assert len(first.trials()) == 3 and len(second.trials()) == 1
    # A folder that was moved has the list that it had.
    (tmp_path / "a").rename(tmp_path / "c")
    assert len(TrialQueue(tmp_path / "c", "points", 1, url).trials()) == 3


def test_database_that_cannot_be_opened_is_named_with_what_to_check(tmp_path):
    queue = TrialQueue(tmp_path, "points", 1, f"sqlite:///{tmp_path}/no_such_folder/shared.db")
    with pytest.raises(ValueError, match=r"--storage=sqlite.*can't be used.*PGPASSWORD"):
        queue.trials()


def test_missing_driver_is_answered_with_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    queue = TrialQueue(tmp_path, "points", 1, "postgresql://somebody@localhost/arl")
    with pytest.raises(ValueError, match=r"not installed: pip install 'arl_tf\[postgres\]'"):
        queue.trials()


@pytest.mark.parametrize(
    "storage",
    [
        "postgresql://me:sesame@host/arl",
        "postgresql://me:@sesame@host/arl",
        "postgresql://host/arl?password=sesame",
        "postgresql://host/arl?user=me&PASSWORD=sesame",
        "postgresql://host:sesame/arl",
        "mysql://me:sesame@host/arl",
        "me:sesame@host/arl",
    ],
)
def test_password_is_refused_and_not_repeated(storage):
    with pytest.raises(ValueError, match="--storage") as error:
        Config(stages="sweep", sweep="code_noise=0|1", storage=storage)
    assert "sesame" not in str(error.value)


def test_database_without_a_password_is_taken():
    url = "postgresql://me@host:5432/arl?sslmode=require"
    assert Config(stages="sweep", sweep="code_noise=0|1", storage=url).storage == url


@pytest.mark.slow
@pytest.mark.skipif(not POSTGRES, reason="ARL_TF_TEST_POSTGRES names no database")
def test_four_processes_share_a_postgresql_and_one_is_killed(tmp_path):
    queue = TrialQueue(tmp_path, "points", 1, POSTGRES)
    points = [Trial(f"noise_{n}", f"noise {n}", {"code_noise": n / 10}) for n in range(8)]
    queue.enqueue(points)
    killed = run_module("tests.helpers.processes.claim_and_die", tmp_path, POSTGRES)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    command = [sys.executable, "-m", "tests.helpers.processes.claim_all", str(tmp_path), POSTGRES]
    others = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    outputs = [process.communicate(timeout=OF_A_PROCESS)[0] for process in others]
    taken = "".join(outputs).split()
    assert [process.returncode for process in others] == [0, 0, 0]
    # The killed one's point too, and none twice.
    assert sorted(taken) == sorted(point.name for point in points)
    assert killed.stdout.strip() in taken
    assert {trial.state.name for trial in queue.trials()} == {"COMPLETE"}
