"""Cores and threads, oneDNN, GPU, disks and ports."""

import os
import pathlib
import platform
import shutil
import socket
from collections.abc import Iterator, Mapping

from arl_tf.experiments.doctor.findings import MEND, NOTE, OK, Finding
from arl_tf.utils import files
from arl_tf.utils.tables import bytes_words

# Checkpoints, pictures and exports of a run of the default size, with room to spare.
RUN_BYTES = 500 * 2**20
# Of serving.local_server, which this package can't import.
PORTS = {"gRPC": 8500, "REST": 8501}
PORT_FLAGS = {"gRPC": "--port", "REST": "--rest_api_port"}
QUOTA = pathlib.Path("/sys/fs/cgroup/cpu.max")
NVIDIA_DRIVER = pathlib.Path("/proc/driver/nvidia/version")
THREAD_VARIABLES = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")


def check_threads(threads: int) -> Iterator[Finding]:
    """Cores that this process may use, beside --threads and what else limits them."""
    cores, quota = usable_cores(), core_quota(QUOTA)
    limit = cores if quota is None else min(cores, quota)
    found = f"{cores} cores" + ("" if quota is None else f", a quota of {quota:g}")
    if threads > limit:
        remedy = f"Use --threads={max(1, int(limit))}, or 0 for all cores."
        yield Finding("threads", NOTE, f"--threads={threads} on {found}", remedy)
    elif quota is not None and quota < cores and not threads:
        remedy = f"Use --threads={max(1, int(quota))}: more threads than the quota wait for it."
        yield Finding("threads", NOTE, found, remedy)
    else:
        yield Finding("threads", OK, found)
    set_ones = [f"{name}={os.environ[name]}" for name in THREAD_VARIABLES if os.environ.get(name)]
    if set_ones:
        remedy = "Unset them if they are not meant: they limit the threads of every operation."
        yield Finding("thread variables", NOTE, " ".join(set_ones), remedy)
    yield from check_load(os.getloadavg()[0], limit)


def check_load(load: float, cores: float) -> Iterator[Finding]:
    """Whether other processes keep the cores busy."""
    if load > cores:
        found = f"load {load:.1f} on {cores:g} cores"
        yield Finding("other processes", NOTE, found, "Times will be longer than estimated.")


def usable_cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def core_quota(path: pathlib.Path) -> float | None:
    """Cores that a container may use, by its cgroup; None where nothing limits them."""
    try:
        quota, period = path.read_text(encoding="ascii").split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        return None


def check_onednn(environ: Mapping[str, str], machine: str) -> Iterator[Finding]:
    """Whether TensorFlow uses oneDNN, without which training takes about twice as long."""
    value = environ.get("TF_ENABLE_ONEDNN_OPTS", "")
    if value.lower() in ("0", "false"):
        remedy = "Unset TF_ENABLE_ONEDNN_OPTS: training is slower without oneDNN."
        yield Finding("oneDNN", NOTE, f"off (TF_ENABLE_ONEDNN_OPTS={value})", remedy)
    elif machine.lower() in ("x86_64", "amd64", "aarch64"):
        yield Finding("oneDNN", OK, "on, TensorFlow's default")
    else:
        yield Finding("oneDNN", NOTE, f"TensorFlow may not have it on {machine}", "")


def check_gpu() -> Iterator[Finding]:
    """GPUs that TensorFlow sees, and a driver whose GPU it does not see."""
    import tensorflow as tf  # Late: a broken installation is a finding.

    yield from gpu_findings(
        [device.name for device in tf.config.list_physical_devices("GPU")],
        NVIDIA_DRIVER.exists() or shutil.which("nvidia-smi") is not None,
    )


def gpu_findings(seen: list[str], has_driver: bool) -> Iterator[Finding]:
    """What is said of the GPUs that TensorFlow sees, beside an NVIDIA driver."""
    if seen:
        yield Finding("GPU", OK, f"{len(seen)} seen by TensorFlow")
    elif has_driver:
        remedy = "pip install 'arl_tf[gpu]': TensorFlow lacks the CUDA libraries."
        yield Finding("GPU", MEND, "an NVIDIA driver, but TensorFlow sees no GPU", remedy)
    else:
        yield Finding("GPU", OK, "none; everything runs on the CPU")


def check_disk(flag: str, folder: pathlib.Path, needed: int) -> Iterator[Finding]:
    """Whether a folder can be written, and holds what is going to be written.

    Args:
        flag: the setting that names it.
        folder: it may be missing.
        needed: bytes.
    """
    what = f"disk of --{flag}"
    try:
        files.check_can_be_written(flag, folder)
    except ValueError as error:
        yield Finding(what, MEND, str(error), f"Name another folder with --{flag}.")
        return
    existing = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    free = shutil.disk_usage(existing).free
    found = f"{bytes_words(free)} free, about {bytes_words(needed)} needed"
    if free < needed:
        yield Finding(what, MEND, found, f"Free some, or name another folder with --{flag}.")
    else:
        yield Finding(what, OK, found)


def check_ports(ports: Mapping[str, int] = PORTS) -> Iterator[Finding]:
    """Whether the ports of serving.local_server are free."""
    for protocol, port in ports.items():
        what = f"port of {protocol}"
        if is_free(port):
            yield Finding(what, OK, f"{port} is free")
        else:
            remedy = f"Start serving.local_server with another {PORT_FLAGS[protocol]}."
            yield Finding(what, NOTE, f"{port} is taken", remedy)


def is_free(port: int) -> bool:
    """Whether a server could listen on a port of this machine."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: a port whose last connections are being closed is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def check_all_onednn() -> Iterator[Finding]:
    """`check_onednn` of this process."""
    return check_onednn(os.environ, platform.machine())
