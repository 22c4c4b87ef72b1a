"""What both protocols do with a request: find the version, check, run, filter."""

import concurrent.futures
import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping

import grpc
import numpy as np

from serving import validation
from serving.batching import Batcher
from serving.errors import ServingError, deadline_exceeded
from serving.model_store import ModelStore
from serving.prometheus import Metrics
from serving.servable import Servable, Signature
from serving.validation import Limits


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


class Predictor:
    """Answers requests out of a store, through a batcher. Any number of threads may call it."""

    def __init__(self, store: ModelStore, batcher: Batcher, limits: Limits, metrics: Metrics):
        self.store = store
        self.limits = limits
        self.metrics = metrics
        self._batcher = batcher

    def predict(
        self,
        spec: ModelSpec,
        read_inputs: Callable[[Signature], Mapping[str, np.ndarray]],
        *,
        deadline: float,
        output_filter: tuple[str, ...] = (),
        on_queued: Callable[[concurrent.futures.Future], object] = lambda future: None,
    ) -> Prediction:
        """Runs one request and waits for it.

        Args:
            spec: the model, version and signature.
            read_inputs: makes the arrays, once the signature is known.
            deadline: in time.monotonic's seconds.
            output_filter: outputs to return; none named: all.
            on_queued: is given the work's future, to cancel it when nobody waits any more; what
                runs already runs to its end.

        Raises:
            ServingError: whatever is wrong with the request, DEADLINE_EXCEEDED or CANCELLED.
        """
        with self.store.lease(spec.name, spec.version, spec.label) as servable:
            signature = servable.signature(spec.signature_name)
            names = validation.check_filter(signature, output_filter)
            inputs = read_inputs(signature)
            items = validation.check_inputs(signature, inputs, self.limits)
            future = self._batcher.submit(signature, inputs, items=items, deadline=deadline)
            on_queued(future)
            try:
                outputs = future.result(timeout=max(0.0, deadline - time.monotonic()))
            except concurrent.futures.TimeoutError:
                future.cancel()
                raise deadline_exceeded() from None
            except concurrent.futures.CancelledError:
                raise ServingError(grpc.StatusCode.CANCELLED, "The client is gone.") from None
        return Prediction(servable, signature, {name: outputs[name] for name in names}, items)

    @contextlib.contextmanager
    def counted(self, protocol: str, method: str, model: str) -> Iterator[None]:
        """Counts the block as one request: OK, or the code of the ServingError it raises."""
        start, code = time.monotonic(), grpc.StatusCode.OK
        try:
            yield
        except ServingError as error:
            code = error.code
            raise
        except BaseException:
            code = grpc.StatusCode.INTERNAL
            raise
        finally:
            known = model if model in self.store.names() else ""
            seconds = time.monotonic() - start
            self.metrics.request(known, protocol, method, code.name, seconds)
