"""Cores and threads, oneDNN, GPU, disks and ports."""

import os
import pathlib
import platform
import shutil
import socket
from collections.abc import Iterator, Mapping, Sequence

from arl_tf.experiments.doctor.findings import MEND, NOTE, OK, Finding
from arl_tf.utils import files
from arl_tf.utils.cores import usable_cores
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

    yield gpu_finding(
        [device.name for device in tf.config.list_physical_devices("GPU")],
        has_driver=NVIDIA_DRIVER.exists(),
        has_tool=shutil.which("nvidia-smi") is not None,
        visible=os.environ.get("CUDA_VISIBLE_DEVICES"),
    )


def gpu_finding(
    seen: list[str], *, has_driver: bool, has_tool: bool, visible: str | None
) -> Finding:
    """What is said of the GPUs.

    Args:
        seen: names of those that TensorFlow sees.
        has_driver: whether an NVIDIA driver is loaded.
        has_tool: whether nvidia-smi is installed; images of containers have it without a GPU.
        visible: CUDA_VISIBLE_DEVICES; None: not set.
    """
    if seen:
        return Finding("GPU", OK, f"{len(seen)} seen by TensorFlow")
    if not has_driver and not has_tool:
        return Finding("GPU", OK, "none; everything runs on the CPU")
    if hides_all(visible):
        found = f"hidden by CUDA_VISIBLE_DEVICES={visible}; everything runs on the CPU"
        return Finding("GPU", NOTE, found, "Unset it, if the GPU is to be used.")
    if not has_driver:
        found = "nvidia-smi is installed, but no NVIDIA driver is loaded"
        return Finding("GPU", NOTE, found, "If this machine has a GPU, load its driver.")
    if visible is not None:
        found = f"an NVIDIA driver, but TensorFlow sees no GPU (CUDA_VISIBLE_DEVICES={visible})"
        remedy = "Unset CUDA_VISIBLE_DEVICES; if that does not help: pip install 'arl_tf[gpu]'."
        return Finding("GPU", MEND, found, remedy)
    remedy = "pip install 'arl_tf[gpu]': TensorFlow lacks the CUDA libraries."
    return Finding("GPU", MEND, "an NVIDIA driver, but TensorFlow sees no GPU", remedy)


def hides_all(visible: str | None) -> bool:
    """Whether CUDA_VISIBLE_DEVICES hides every GPU: CUDA ignores what follows an index below 0."""
    return visible is not None and visible.split(",")[0].strip() in ("", "-1")


def check_disks(needs: Mapping[str, tuple[pathlib.Path, int]]) -> Iterator[Finding]:
    """Whether folders can be written, and each disk holds all that is going to be written to it.

    Args:
        needs: setting that names a folder -> the folder, which may be missing, and bytes.
    """
    of_disk: dict[int, list[str]] = {}
    for flag, (folder, _) in needs.items():
        try:
            files.check_can_be_written(flag, folder)
        except ValueError as error:
            remedy = f"Name another folder with --{flag}."
            yield Finding(disk_words([flag]), MEND, str(error), remedy)
            continue
        of_disk.setdefault(device_of(folder), []).append(flag)
    for flags in of_disk.values():
        needed = sum(needs[flag][1] for flag in flags)
        free = shutil.disk_usage(existing_part(needs[flags[0]][0])).free
        found = f"{bytes_words(free)} free, about {bytes_words(needed)} needed"
        if free < needed:
            remedy = f"Free some, or name another folder with --{' or --'.join(flags)}."
            yield Finding(disk_words(flags), MEND, found, remedy)
        else:
            yield Finding(disk_words(flags), OK, found)


def disk_words(flags: Sequence[str]) -> str:
    """What is looked at: the disk of one or more settings' folders."""
    return f"disk of --{' and --'.join(flags)}"


def existing_part(folder: pathlib.Path) -> pathlib.Path:
    """A folder, or the nearest one above it that there is."""
    return next(each for each in (folder, *folder.absolute().parents) if each.exists())


def device_of(folder: pathlib.Path) -> int:
    """The number of the disk that a folder is on, or would be."""
    return existing_part(folder).stat().st_dev


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
