"""Works through shards: in this process, in several of this machine, or on Apache Beam."""

import concurrent.futures
import multiprocessing
import os
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool

from arl_tf.experiments.encoding import encoders, shards
from arl_tf.experiments.encoding.encoders import EncoderSpec
from arl_tf.experiments.encoding.shards import Target
from arl_tf.experiments.encoding.sources import Shard
from arl_tf.utils import run_files

# A shard and its number.
Work = tuple[int, Shard]
SECONDS_BETWEEN_LOOKS = 1.0
# Encoder and target of this process, one of several.
_own: dict = {}


def in_this_process(spec: EncoderSpec, work: Sequence[Work], target: Target) -> Iterator[int]:
    """Encodes shards one after the other; yields the photos of each when it is done."""
    encoder = encoders.load(spec)
    for number, shard in work:
        yield shards.encode_shard(encoder, shard, number, target)


def in_processes(
    spec: EncoderSpec, work: Sequence[Work], target: Target, processes: int
) -> Iterator[int]:
    """The same in several processes, each with its share of the cores.

    Where one fails, shards that nobody has begun are left for the next command.

    Raises:
        RuntimeError: one of them was killed.
        ValueError: a source is damaged, or this system has nothing through which processes can
            share work.
    """
    threads = max(1, (os.cpu_count() or 1) // processes)
    try:
        pool = concurrent.futures.ProcessPoolExecutor(
            processes,
            # TensorFlow does not survive a fork.
            mp_context=multiprocessing.get_context("spawn"),
            initializer=prepare_process,
            initargs=(spec, target, threads, os.getpid()),
        )
    except (OSError, NotImplementedError) as error:
        raise ValueError(
            f"--encode_processes={processes} needs shared memory, which is not at hand here"
            f" ({run_files.one_line(error)}; /dev/shm?); use --encode_processes=1."
        ) from None
    with pool:
        done = [pool.submit(encode_here, each) for each in work]
        try:
            for future in concurrent.futures.as_completed(done):
                yield future.result()
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
