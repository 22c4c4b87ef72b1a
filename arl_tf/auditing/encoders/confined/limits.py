"""What a process may still do from now on: read programs and one folder, write nothing.

The system's Landlock does it (Linux 5.13 and later, Salaün 2021). Elsewhere there are only the
limits on memory, on written files and on core dumps.
"""

import os
import pathlib
import resource
import sys

import landlockpy

import arl_tf

# Programs and libraries, and what the system says of itself and of this process.
SYSTEM = (
    "/usr",
    "/lib",
    "/lib64",
    "/bin",
    "/etc/ld.so.cache",
    "/proc/self",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/stat",
    "/sys/devices/system",
    "/sys/fs/cgroup",
    "/dev/urandom",
)
# Folders of packages that lie outside the environment, as a user's own.
PACKAGE_FOLDERS = ("site-packages", "dist-packages")
# Of the machine's memory.
MEMORY_SHARE = 0.5


def confine(folder: str) -> bool:
    """Confines this process and its children for good.

    They may read `folder`, Python's packages and the system's folders. They may write no file, and
    use half of the machine's memory. Linux 6.7 also keeps them from TCP connections, and Linux 6.12
    from signals to others.
    Threads that run already are not confined: call it first.

    Returns:
        Whether the system can confine what files they open.
    """
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    memory = int(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") * MEMORY_SHARE)
    # Memory that is written to. The whole address space would count mapped libraries and stacks.
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    if not landlockpy.supported():
        return False
    access = landlockpy.AccessFS
    scoped = landlockpy.Scope.ABSTRACT_UNIX_SOCKET | landlockpy.Scope.SIGNAL
    with landlockpy.Ruleset(scoped=scoped) as rules:
        for path in readable(folder):
            listing = access.READ_DIR if path.is_dir() else access.NONE
            rules.allow_path(path, access.READ_FILE | access.EXECUTE | listing)
        rules.allow_path(os.devnull, access.READ_FILE | access.WRITE_FILE)
        rules.restrict()
    return True


def readable(folder: str) -> list[pathlib.Path]:
    """The folder, and where programs and packages are: files, and folders with all below them."""
    outside = [path for path in sys.path if pathlib.Path(path).name in PACKAGE_FOLDERS]
    found = [folder, *arl_tf.__path__, sys.prefix, sys.base_prefix, *outside, *SYSTEM]
    return [path for path in map(pathlib.Path, dict.fromkeys(found)) if path.exists()]
