"""Commands that meet a fault, and what is left when they are run again."""

import contextlib
import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import time
from collections.abc import Iterator

from commands import run_together

VARIABLE = "ARL_TF_TEST_FAULT"
# As few images, steps and attackers as every stage takes.
TINY = (
    "--flagfile=configs/smoke.cfg",
    "--deterministic",
    "--num_faces=60",
    "--images_per_identity=2",
    "--code_channels=2",
    "--batch_size=4",
    "--warmup_epochs=2",
    "--epochs=1",
    "--steps_per_epoch=2",
    "--checkpoint_epochs=1",
    "--decoder_depth=0",
    "--attackers=linear,decoder",
    "--attacker_steps=24",
    "--tflite_precisions=float32",
    "--require=",
)
FILLER = "filler"
MOST_BYTES = 16_384
YEAR = 365 * 86_400
# What a command says of a disk that is full.
REASONS = {
    "fill": ("No space left", "errno = 28"),
    "limit": ("File too large", "errno = 27"),
}
# What two equal runs differ in beside their seconds: dates, and where they lie.
UNEQUAL = ("date", "workdir")


@dataclasses.dataclass(frozen=True)
class Fault:
    """A fault of `processes.faulty_run`.

    Attributes:
        at: "module:function", as the code looks it up; "": the fault is there from the start.
        call: which call of it, in its process.
        after: when that call has returned, not before it begins.
        since: calls are counted from the first one of this "module:function" on; "": all are.
        action: what happens.
        argument: of the action.
        years: by which the process' clock is wrong.
        finished: a run whose training, audit and export stand in for all others; "": all are real.
    """

    at: str = ""
    call: int = 1
    after: bool = False
    since: str = ""
    action: str = "kill"
    argument: str = ""
    years: int = 0
    finished: str = ""


NONE = Fault(action="none")


@dataclasses.dataclass(frozen=True)
class Disk:
    """Where a run lies, and how its disk becomes full.

    Attributes:
        folder: on a small file system of its own, or, where none may be mounted, anywhere.
        is_small: which of them.
    """

    folder: pathlib.Path
    is_small: bool

    def full(self, at: str, **moment: object) -> Fault:
        """The disk is full from a call on; elsewhere no file may grow beyond a few kilobytes."""
        if self.is_small:
            return Fault(at, action="fill", argument=str(self.folder), **moment)
        return Fault(at, action="limit", argument=str(MOST_BYTES), **moment)

    @contextlib.contextmanager
    def read_only(self) -> Iterator[None]:
        """Nobody can write to the small disk, root included, while the block runs."""
        self._remount("ro")
        try:
            yield
        finally:
            self._remount("rw")

    def _remount(self, mode: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{mode}", self.folder], check=True)

    def make_room(self) -> None:
        """Removes what filled the disk."""
        (self.folder / FILLER).unlink(missing_ok=True)


def run_with(fault: Fault, *flags: object) -> subprocess.CompletedProcess:
    """Runs `python -m arl_tf.main` with a fault in it, and with small frozen networks."""
    command = ("tests.helpers.processes.faulty_run", *flags)
    return run_together([command], [{VARIABLE: json.dumps(dataclasses.asdict(fault))}])[0]


def finish(*flags: object, fault: Fault = NONE) -> str:
    """Runs a command to its end; returns what it said."""
    finished = run_with(fault, *flags)
    assert finished.returncode == 0, finished.stderr[-3000:]
    return finished.stderr + finished.stdout


def stop(fault: Fault, *flags: object) -> str:
    """Runs a command that a fault ends: at once, or with the reason in words.

    Returns:
        What it said.
    """
    stopped = run_with(fault, *flags)
    said = stopped.stderr[-3000:]
    if fault.action == "kill":
        assert stopped.returncode == -signal.SIGKILL, (fault, stopped.returncode, said)
    else:
        assert stopped.returncode == 2, (fault, stopped.returncode, said)
        # HDF5 complains of every object that it can't write any more; what counts comes last.
        last = stopped.stderr.rpartition("\narl_tf: ")[2]
        assert last and "Traceback" not in last, said
        assert any(words in last for words in REASONS[fault.action]), said
    return stopped.stderr


def jump(folder: pathlib.Path, years: int) -> None:
    """Sets the times of change of all files below a folder: a clock was wrong, or is mended."""
    moment = time.time() + years * YEAR
    for path in folder.rglob("*"):
        os.utime(path, (moment, moment))


def finish_tiny_run(folder: pathlib.Path) -> None:
    """Makes the run that is never interrupted, in `folder`/run."""
    finish(*TINY, f"--workdir={folder / 'run'}")


def read_json(path: pathlib.Path):
    """What a JSON file holds."""
    return json.loads(path.read_text(encoding="utf-8"))


def timeless(content):
    """JSON content without what equal runs differ in."""
    if isinstance(content, dict):
        return {
            name: timeless(value)
            for name, value in content.items()
            if name not in UNEQUAL and not name.endswith("seconds")
        }
    return [timeless(each) for each in content] if isinstance(content, list) else content


def unfinished(folder: pathlib.Path) -> list[str]:
    """What a killed process left below a folder under a name that is not final."""
    marks = (".unfinished", "unfinished_", ".tmp", ".lock_owner")
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if any(mark in path.name for mark in marks)
    )
