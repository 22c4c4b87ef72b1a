"""How many cores and threads there are for this process, which may be fewer than the machine's."""

import os


def usable_cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def num_threads() -> int:
    """Threads that TensorFlow's operations may take: as set (--threads), or a core each."""
    # Imported late: `usable_cores` is asked for where TensorFlow's start would be waited for.
    import tensorflow as tf

    wanted = tf.config.threading.get_intra_op_parallelism_threads()
    return wanted or int(os.environ.get("TF_NUM_INTRAOP_THREADS", 0)) or usable_cores()
