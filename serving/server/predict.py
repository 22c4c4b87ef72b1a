"""What both protocols do with a request: find the version, check, run, filter."""

import concurrent.futures
import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable, Iterator, Mapping

import grpc
import numpy as np

from serving.server import validation
from serving.server.batching import Batcher
from serving.server.busy import BusyLog
from serving.server.errors import ServingError, deadline_exceeded
from serving.server.model_store import ModelStore
from serving.server.prometheus import Metrics
from serving.server.servable import Servable
from serving.server.signature import Signature
from serving.server.validation import Limits


@dataclasses.dataclass(frozen=True)
class ModelSpec:
    """Which model, version and signature a request means.

    Attributes:
        name: of the model.
        version: number, or None.
        label: of the version, or None; with neither, the greatest version is meant.
        signature_name: "" means serving_default.
    """

    name: str
    version: int | None = None
    label: str | None = None
    signature_name: str = ""


@dataclasses.dataclass(frozen=True)
class Prediction:
    """A request's answer.

    Attributes:
        servable: the version that answered.
        signature: that was run.
        outputs: name -> array.
        items: of the request.
    """

    servable: Servable
    signature: Signature
    outputs: Mapping[str, np.ndarray]
    items: int


class Caller:
    """Who waits for a request's answer, and until when. Any thread may say that it has gone.

    Work that is queued for a caller who has gone never runs; what runs already runs to its end.
    """

    def __init__(self, deadline: float):
        """`deadline`: in time.monotonic's seconds."""
        self.deadline = deadline
        self._lock = threading.Lock()
        self._gone = False
        self._work: concurrent.futures.Future | None = None

    def leave(self) -> None:
        """Nobody waits any more."""
        with self._lock:
            self._gone = True
            if self._work is not None:
                self._work.cancel()

    def check(self) -> None:
        """Raises ServingError, CANCELLED or DEADLINE_EXCEEDED, where work would be in vain."""
        if self._gone:
            raise ServingError(grpc.StatusCode.CANCELLED, "The client is gone.")
        if time.monotonic() >= self.deadline:
            raise deadline_exceeded()

    def wait_for(self, work: concurrent.futures.Future) -> dict[str, np.ndarray]:
        """The work's result: output -> array of the shape that its signature says.

        Raises:
            ServingError: the work's, DEADLINE_EXCEEDED or CANCELLED.
        """
        with self._lock:
            self._work = work
            if self._gone:
                work.cancel()
        try:
            return work.result(timeout=max(0.0, self.deadline - time.monotonic()))
        except concurrent.futures.TimeoutError:
            work.cancel()
            raise deadline_exceeded() from None
        except concurrent.futures.CancelledError:
            raise ServingError(grpc.StatusCode.CANCELLED, "The client is gone.") from None


class Predictor:
    """Answers requests out of a store, through a batcher. Any number of threads may call it."""

    def __init__(self, store: ModelStore, batcher: Batcher, limits: Limits, metrics: Metrics):
        self.store = store
        self.limits = limits
        self.metrics = metrics
        self.busy = BusyLog()
        self._batcher = batcher

    def predict(
        self,
        spec: ModelSpec,
        read_inputs: Callable[[Signature], Mapping[str, np.ndarray]],
        *,
        caller: Caller,
        output_filter: tuple[str, ...] = (),
    ) -> Prediction:
        """Runs one request and waits for it.

        Args:
            spec: the model, version and signature.
            read_inputs: makes the arrays by name, of the shapes that the signature says, once it is
                known.
            caller: who waits.
            output_filter: outputs to return; none named: all.

        Raises:
            ServingError: whatever is wrong with the request, DEADLINE_EXCEEDED or CANCELLED.
        """
        caller.check()
        with self.store.lease(spec.name, spec.version, spec.label) as servable:
            signature = servable.signature(spec.signature_name)
            names = validation.check_filter(signature, output_filter)
            inputs = read_inputs(signature)
            size = validation.check_inputs(signature, inputs, self.limits)
            work = self._batcher.submit(
                signature, inputs, items=size.items, pixels=size.pixels, deadline=caller.deadline
            )
            outputs = caller.wait_for(work)
        return Prediction(servable, signature, {name: outputs[name] for name in names}, size.items)

    @contextlib.contextmanager
    def counted(self, protocol: str, method: str, model: str) -> Iterator[None]:
        """Counts the block as one request: OK, or the code of the ServingError it raises."""
        start, code = time.monotonic(), grpc.StatusCode.OK
        try:
            yield
        except ServingError as error:
            code = error.code
            if code == grpc.StatusCode.UNAVAILABLE:
                self.busy.note(error.message)
            raise
        except BaseException:
            code = grpc.StatusCode.INTERNAL
            raise
        finally:
            known = model if model in self.store.names() else ""
            seconds = time.monotonic() - start
            self.metrics.request(known, protocol, method, code.name, seconds)
