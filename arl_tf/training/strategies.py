"""Which devices and machines take a training's steps: strategies of tf.distribute, by name.

TensorFlow wants to know before its first operation: `start` comes first in a process.
"""

import contextlib
import functools
import json
import os
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

from arl_tf.data.pipelines import WHOLE, Shares

DEFAULT, MIRRORED, MULTI_WORKER = "default", "mirrored", "multi_worker"
CLUSTER = "TF_CONFIG"
# Errors of an operation that waits for another machine, which is gone or was never there.
LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
    tf.errors.UnknownError,
)


@functools.cache
def start(name: str, devices: int) -> tf.distribute.Strategy:
    """The strategy of a name, made once in a process.

    Args:
        name: "default": one device. "mirrored": GPUs of this machine, or logical CPUs where it has
            none. "multi_worker": this process and those that TF_CONFIG lists.
        devices: of "mirrored": how many; 0: all GPUs. CPUs must be counted.

    Raises:
        ValueError: fewer devices than asked for, or a TF_CONFIG that can't be used.
        RuntimeError: TensorFlow has begun already.
    """
    if name == MIRRORED:
        return tf.distribute.MirroredStrategy(device_names(devices))
    if name == MULTI_WORKER:
        check_cluster(os.environ.get(CLUSTER, ""))
        return tf.distribute.MultiWorkerMirroredStrategy()
    return tf.distribute.get_strategy()


def device_names(devices: int) -> list[str]:
    """The first GPUs, or as many logical CPUs where there is no GPU; raises as `start`."""
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        if devices > len(gpus):
            raise ValueError(f"--devices={devices}: this machine has {len(gpus)} GPUs.")
        return [f"GPU:{number}" for number in range(devices or len(gpus))]
    if not devices:
        raise ValueError(
            "--strategy=mirrored found no GPU; --devices=2 takes two logical CPUs, which share the"
            " cores and are for tests."
        )
    cpu = tf.config.list_physical_devices("CPU")[0]
    logical = [tf.config.LogicalDeviceConfiguration() for _ in range(devices)]
    tf.config.set_logical_device_configuration(cpu, logical)
    return [f"CPU:{number}" for number in range(devices)]


def check_cluster(text: str) -> None:
    """Raises ValueError where TF_CONFIG does not say who is there and which of them this is."""
    example = (
        '{"cluster": {"worker": ["host1:2222", "host2:2222"]},'
        ' "task": {"type": "worker", "index": 0}}'
    )
    try:
        content = json.loads(text)
        workers = content["cluster"]["worker"]
        index = content["task"]["index"]
        is_usable = content["task"]["type"] == "worker" and isinstance(workers, list)
        is_usable = is_usable and isinstance(index, int) and 0 <= index < len(workers)
    except (ValueError, KeyError, TypeError, RecursionError):
        is_usable = False
    if not is_usable:
        raise ValueError(
            f"--strategy=multi_worker needs the variable {CLUSTER} with all workers and the number"
            f" of this one, such as '{example}'; got {text!r}. Worker 0 is the chief."
        )


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process writes: worker 0 does, and every process without others."""
    resolver = strategy.cluster_resolver
    return not is_clustered(strategy) or resolver.task_id == 0


def is_clustered(strategy: tf.distribute.Strategy) -> bool:
    """Whether the strategy spans several processes."""
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)


def check_batch(strategy: tf.distribute.Strategy, batch_size: int) -> None:
    """Raises ValueError where a batch can't be shared equally."""
    count = strategy.num_replicas_in_sync
    if batch_size % count:
        raise ValueError(
            f"--batch_size={batch_size} can't be shared equally by {count} devices: use a multiple"
            f" of {count}. It is the batch of all devices together."
        )


def draw_apart(strategy: tf.distribute.Strategy, seed: int) -> None:
    """Gives each worker a seed of its own for noise: their graphs would draw the same noise."""
    if is_clustered(strategy):
        tf.random.set_seed((seed + 7919 * (strategy.cluster_resolver.task_id + 1)) % 2**32)


def meet(strategy: tf.distribute.Strategy, number: int = 0) -> None:
    """Waits until every process is here, with the same number.

    Raises:
        ValueError: they differ in the number.
    """
    if not is_clustered(strategy):
        return

    @tf.function(autograph=False)
    def numbers() -> tf.Tensor:
        def of_all() -> tf.Tensor:
            return tf.distribute.get_replica_context().all_gather(tf.constant([number]), axis=0)

        return strategy.experimental_local_results(strategy.run(of_all))[0]

    found = sorted(set(numbers().numpy().tolist()))
    if len(found) > 1:
        raise ValueError(
            f"The workers would go on from different epochs ({', '.join(map(str, found))}):"
            " --workdir must be the same folder, on storage that all workers share."
        )


def distributed_batches(
    strategy: tf.distribute.Strategy, batches: Callable[[Shares], tf.data.Dataset]
) -> Any:
    """A strategy's batches for `fit`: each process prepares the parts of its own devices.

    Args:
        strategy: of `start`.
        batches: the parts of a batch -> a data set of them.
    """
    count = strategy.num_replicas_in_sync
    if count == 1 and not is_clustered(strategy):
        return batches(WHOLE)

    def own_parts(context: tf.distribute.InputContext) -> tf.data.Dataset:
        here = count // context.num_input_pipelines
        return batches(Shares(context.input_pipeline_id * here, here, count))

    return strategy.distribute_datasets_from_function(own_parts)


@contextlib.contextmanager
def others_may_go(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Turns TensorFlow's error for a lost worker into one that says what to do.

    Raises:
        RuntimeError: another worker is gone.
    """
    try:
        yield
    except LOST as error:
        if not is_clustered(strategy):
            raise
        reason = str(error.message).splitlines()[0][:200]
        raise RuntimeError(
            f"Another worker is gone, or can't be reached ({reason}). Start the same command again"
            " on all workers: it goes on from the last checkpoint."
        ) from error
