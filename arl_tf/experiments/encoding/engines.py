"""Works through shards: in this process, in several of this machine, or on Apache Beam."""

import concurrent.futures
import multiprocessing
import os
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool

from arl_tf.data.pictures.reader import ReadingError
from arl_tf.experiments.encoding import encoders, shards
from arl_tf.experiments.encoding.encoders import EncoderSpec
from arl_tf.experiments.encoding.shards import Target
from arl_tf.experiments.encoding.sources import Shard
from arl_tf.utils import run_files
from arl_tf.utils.cores import usable_cores

# A shard and its number.
Work = tuple[int, Shard]
SECONDS_BETWEEN_LOOKS = 1.0
# Encoder and target of this process, one of several.
_own: dict = {}


def in_this_process(spec: EncoderSpec, work: Sequence[Work], target: Target) -> Iterator[int]:
    """Encodes shards one after the other; yields the photos of each when it is done.

    Raises:
        ReadingError: in the end, where photos of some shards could not be read.
    """
    encoder = encoders.load(spec)
    failures = []
    for number, shard in work:
        try:
            done = shards.encode_shard(encoder, shard, number, target)
        except ReadingError as error:
            # Its traceback would keep the shard's photos in memory.
            failures.append(error.with_traceback(None))
        else:
            yield done
    refuse_failures(failures, len(work))


def refuse_failures(failures: Sequence[ReadingError], number: int) -> None:
    """Raises ReadingError where shards are not done: the others of `number` have not waited."""
    if failures:
        raise ReadingError(
            f"{len(failures)} of {number} shards are not done; the same command, but without"
            f" --overwrite, tries them again. {failures[0]}"
        )


def in_processes(
    spec: EncoderSpec, work: Sequence[Work], target: Target, processes: int, threads: int = 0
) -> Iterator[int]:
    """The same in several processes, each with its share of the threads.

    Where one fails, shards that nobody has begun are left for the next command.

    Args:
        spec: of the encoder.
        work: shards with their numbers.
        target: where codes go.
        processes: how many.
        threads: of all processes together, one for each at least; 0: a core each.

    Yields:
        The photos of each shard, when it is done.

    Raises:
        ReadingError: in the end, where photos of some shards could not be read.
        RuntimeError: one of them was killed.
        ValueError: a source is damaged, or this system has nothing through which processes can
            share work.
    """
    of_each = max(1, (threads or usable_cores()) // processes)
    try:
        pool = concurrent.futures.ProcessPoolExecutor(
            processes,
            # TensorFlow does not survive a fork.
            mp_context=multiprocessing.get_context("spawn"),
            initializer=prepare_process,
            initargs=(spec, target, of_each, os.getpid()),
        )
    except (OSError, NotImplementedError) as error:
        raise ValueError(
            f"--encode_processes={processes} needs shared memory, which is not at hand here"
            f" ({run_files.one_line(error)}; /dev/shm?); use --encode_processes=1."
        ) from None
    with pool:
        done = [pool.submit(encode_here, each) for each in work]
        failures = []
        try:
            for future in concurrent.futures.as_completed(done):
                if isinstance(future.exception(), ReadingError):
                    failures.append(future.exception())
                else:
                    yield future.result()
            refuse_failures(failures, len(work))
        except BrokenProcessPool:
            raise RuntimeError(
                f"One of the {processes} processes was killed; often there is too little memory."
                " The same command goes on from here; --encode_processes sets their number."
            ) from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def prepare_process(spec: EncoderSpec, target: Target, threads: int, parent: int) -> None:
    """Makes a process ready for shards; it ends when its parent does."""
    import tensorflow as tf

    threading.Thread(target=end_with, args=(parent,), daemon=True).start()
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    _own.update(encoder=encoders.load(spec), target=target)


def end_with(parent: int) -> None:
    """Ends this process as soon as its parent is gone: a killed command leaves nothing running."""
    while os.getppid() == parent:
        time.sleep(SECONDS_BETWEEN_LOOKS)
    os._exit(1)


def encode_here(work: Work) -> int:
    """Encodes one shard in a process that `prepare_process` made ready."""
    number, shard = work
    return shards.encode_shard(_own["encoder"], shard, number, _own["target"])


def on_beam(spec: EncoderSpec, work: Sequence[Work], target: Target, options: str) -> None:
    """The same on Apache Beam, with the runner that the options name.

    Raises:
        ValueError: Apache Beam is not installed.
    """
    try:
        from arl_tf.experiments.encoding import beam_engine
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "apache_beam":
            raise
        raise ValueError(
            "--beam_options needs Apache Beam, which is not installed: pip install 'arl_tf[beam]'"
            " in an environment of its own (it needs an older protobuf than requirements.txt has),"
            " or leave --beam_options out and use --encode_processes."
        ) from None
    beam_engine.run(spec, work, target, options)
