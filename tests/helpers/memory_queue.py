"""A queue of points in memory, for tests of stages that work through one."""

import contextlib
import types
from typing import ClassVar


class Free:
    """A lock that nobody waits for."""

    def release(self):
        """Lets go of nothing."""


class MemoryQueue:
    """A queue that nobody else works on, in memory: the database takes a second for a few points.

    As the real one it outlives a killed process: `kept` holds what each queue knows.
    """

    kept: ClassVar[dict] = {}

    def __init__(self, folder, name, seed, url=""):
        self.points = self.kept.setdefault((str(folder), name), {})

    def guard(self):
        return contextlib.nullcontext()

    def enqueue(self, points):
        for point in points:
            self.points.setdefault(point.name, [point, "waiting"])

    def redo(self, is_gone):
        for name, entry in self.points.items():
            entry[1] = "waiting" if is_gone(name) else entry[1]

    def retry_failed(self):
        for entry in self.points.values():
            entry[1] = "waiting" if entry[1] == "failed" else entry[1]

    def claim(self, sampler=None, num_trials=0):
        waiting = (point for point, state in self.points.values() if state == "waiting")
        point = next(waiting, None)
        return point and types.SimpleNamespace(point=point, lock=Free())

    def finish(self, claim, record, values):
        self.points[claim.point.name][1] = record["state"]

    def trials(self):
        return []
