"""Runs requests on a few threads; merges those of one signature that wait at the same time."""

import collections
import concurrent.futures
import dataclasses
import math
import pathlib
import threading
import time
from collections.abc import Callable, Mapping

import grpc
import numpy as np
from google.protobuf import text_format

from serving.common import files
from serving.server import tf_serving_protos
from serving.server.errors import ServingError, deadline_exceeded
from serving.server.signature import Signature

Arrays = Mapping[str, np.ndarray]
DEFAULT_THREADS = 2
REMEDY = "serving/batching.config is an example of --batching_parameters_file."


@dataclasses.dataclass(frozen=True)
class BatchingParameters:
    """How requests are merged.

    Attributes:
        max_batch_size: items of a merged batch; a larger request runs alone. 1 merges nothing.
        batch_timeout: how long a request may wait for others, seconds.
        max_enqueued_batches: requests that may wait at once, in units of max_batch_size items.
        num_batch_threads: batches that run at once.
    """

    max_batch_size: int = 32
    batch_timeout: float = 0.001
    max_enqueued_batches: int = 100
    num_batch_threads: int = DEFAULT_THREADS

    def __post_init__(self):
        for name in ("max_batch_size", "max_enqueued_batches", "num_batch_threads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be >= 1, got {getattr(self, name)}.")
        if self.batch_timeout < 0:
            raise ValueError(f"batch_timeout must be >= 0, got {self.batch_timeout}.")


# Each request alone and at once.
NO_MERGING = BatchingParameters(max_batch_size=1, batch_timeout=0.0, max_enqueued_batches=1024)
HONOURED = ("max_batch_size", "batch_timeout_micros", "max_enqueued_batches", "num_batch_threads")


def read_parameters(path: pathlib.Path) -> BatchingParameters:
    """Reads a file in TF Serving's text format of BatchingParameters.

    thread_pool_name is ignored: nothing depends on it here.

    Raises:
        ValueError: the file can't be read, is no such file, has values out of range, or asks for
            something that is not done here.
    """
    try:
        proto = text_format.Parse(
            files.read_text(path, REMEDY), tf_serving_protos.BatchingParameters()
        )
    except text_format.ParseError as error:
        raise ValueError(
            f"{path} holds no BatchingParameters in text format: {files.one_line(error)}. {REMEDY}"
        ) from error
    given = {field.name: value for field, value in proto.ListFields()}
    unknown = set(given) - {*HONOURED, "thread_pool_name"}
    if unknown:
        raise ValueError(f"{path}: {', '.join(sorted(unknown))} is not done by this server.")
    values = {name: given[name].value for name in HONOURED if name in given}
    if "batch_timeout_micros" in values:
        values["batch_timeout"] = values.pop("batch_timeout_micros") / 1e6
    return BatchingParameters(**values)


@dataclasses.dataclass(eq=False)
class _Task:
    inputs: Arrays
    items: int
    pixels: int
    deadline: float
    enqueued: float
    future: concurrent.futures.Future


class Batcher:
    """Queues of tasks, one for each signature and shape of an item, and the threads that run them.

    A Signature belongs to one version of one model, so neither signatures nor versions ever mix.
    """

    def __init__(
        self,
        parameters: BatchingParameters,
        on_batch: Callable[[int], None] = lambda items: None,
        *,
        max_pixels: float = math.inf,
    ):
        """Starts the threads.

        Args:
            parameters: how requests are merged.
            on_batch: told the number of items of every batch before it runs.
            max_pixels: of a merged batch's picture files, decoded: a small file may have many, and
                a batch decodes its pictures side by side. A request of more runs alone.
        """
        self._max_pixels = max_pixels
        self._parameters = parameters
        self._on_batch = on_batch
        self._queues: dict[tuple, collections.deque[_Task]] = {}
        self._changed = threading.Condition()
        self._closed = False
        self._threads = [
            threading.Thread(target=self._work, name=f"batch-{index}", daemon=True)
            for index in range(parameters.num_batch_threads)
        ]
        for thread in self._threads:
            thread.start()

    def submit(
        self, signature: Signature, inputs: Arrays, *, items: int, deadline: float, pixels: int = 0
    ) -> concurrent.futures.Future:
        """Queues a checked request.

        Args:
            signature: what to run.
            inputs: arrays, [items, ...] where the signature is batchable.
            items: number of items.
            deadline: in time.monotonic's seconds; a task that still waits by then never runs.
            pixels: of its picture files when decoded.

        Returns:
            A future of the outputs by name, or of a ServingError.

        Raises:
            ServingError: UNAVAILABLE: too much is waiting, or the server is going down.
        """
        alone = not signature.batchable
        shapes = tuple(sorted((name, array.shape[1:]) for name, array in inputs.items()))
        # A signature without a batch axis can't be merged: every task gets a queue of its own.
        key = (signature, object() if alone else shapes)
        future = concurrent.futures.Future()
        task = _Task(inputs, items, pixels, deadline, time.monotonic(), future)
        with self._changed:
            if self._closed:
                raise ServingError(grpc.StatusCode.UNAVAILABLE, "The server is going down.")
            self._drop_cancelled()
            # What is larger than a batch runs alone, as one.
            most = self._parameters.max_batch_size
            waiting = sum(min(t.items, most) for queue in self._queues.values() for t in queue)
            limit = self._parameters.max_enqueued_batches * most
            if waiting + min(items, most) > limit:
                raise ServingError(
                    grpc.StatusCode.UNAVAILABLE,
                    f"{waiting} items are waiting already, the limit is {limit}; try later.",
                )
            self._queues.setdefault(key, collections.deque()).append(task)
            self._changed.notify()
        return task.future

    def _drop_cancelled(self) -> None:
        """Forgets tasks that nobody waits for: they must not keep others out."""
        for key, queue in list(self._queues.items()):
            waiting = collections.deque(task for task in queue if not task.future.cancelled())
            if waiting:
                self._queues[key] = waiting
            else:
                del self._queues[key]

    def close(self) -> None:
        """Runs what is queued, takes no more, and waits for the threads."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not (ready := self._take()):
                    if self._closed and not self._queues:
                        return
                    self._changed.wait(self._seconds_to_wait())
            self._run(*ready)

    def _due(self, queue: collections.deque[_Task]) -> float:
        """When a queue's batch is to run, in monotonic seconds; 0.0: now."""
        full = (
            sum(task.items for task in queue) >= self._parameters.max_batch_size
            or sum(task.pixels for task in queue) >= self._max_pixels
        )
        return 0.0 if full or self._closed else queue[0].enqueued + self._parameters.batch_timeout

    def _seconds_to_wait(self) -> float | None:
        if not self._queues:
            return None
        return max(0.0, min(map(self._due, self._queues.values())) - time.monotonic())

    def _take(self) -> tuple[Signature, list[_Task]] | None:
        """A batch that is due, of the queue whose first task has waited longest."""
        now = time.monotonic()
        due = [key for key, queue in self._queues.items() if self._due(queue) <= now]
        if not due:
            return None
        key = min(due, key=lambda key: self._queues[key][0].enqueued)
        queue = self._queues[key]
        batch = [queue.popleft()]
        items, pixels = batch[0].items, batch[0].pixels
        while queue:
            items, pixels = items + queue[0].items, pixels + queue[0].pixels
            if items > self._parameters.max_batch_size or pixels > self._max_pixels:
                break
            batch.append(queue.popleft())
        if not queue:
            del self._queues[key]
        return key[0], batch

    def _run(self, signature: Signature, tasks: list[_Task]) -> None:
        now = time.monotonic()
        waiting = [task for task in tasks if task.future.set_running_or_notify_cancel()]
        late = [task for task in waiting if task.deadline <= now]
        for task in late:
            task.future.set_exception(deadline_exceeded())
        ready = [task for task in waiting if task.deadline > now]
        if not ready:
            return
        try:
            self._run_merged(signature, ready)
        # One client's bad picture must not spoil the others' answers; alone, each gets its own.
        except Exception:
            for task in ready:
                self._run_alone(signature, task)

    def _run_merged(self, signature: Signature, tasks: list[_Task]) -> None:
        if len(tasks) == 1:
            self._run_alone(signature, tasks[0])
            return
        items = [task.items for task in tasks]
        self._on_batch(sum(items))
        outputs = signature.run(
            {
                name: np.concatenate([task.inputs[name] for task in tasks])
                for name in signature.inputs
            }
        )
        ends = np.cumsum(items)
        for task, end in zip(tasks, ends, strict=True):
            part = slice(end - task.items, end)
            task.future.set_result({name: array[part] for name, array in outputs.items()})

    def _run_alone(self, signature: Signature, task: _Task) -> None:
        self._on_batch(task.items)
        try:
            task.future.set_result(signature.run(task.inputs))
        except ServingError as error:
            task.future.set_exception(error)
        # The client gets INTERNAL; a thread that died here would leave it waiting, and all others.
        except Exception as error:
            task.future.set_exception(ServingError(grpc.StatusCode.INTERNAL, str(error)))
