"""What a worker tells about its machine and its packages."""

import functools
import os
import platform
import socket
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from quantlab.processes import usable_cores
from quantlab.registries import REAL
from quantlab.types import ShardWorker

__all__ = ["this_worker"]

_INSTRUCTIONS = ("amx", "asimd", "avx", "f16c", "fma", "sse4", "sve")
"""Prefixes of the vector instructions by which libraries choose their kernels."""


@functools.cache
def this_worker() -> ShardWorker:
    """Describe this machine, and the versions of the packages on which outputs depend."""
    about = _about_processor()
    flags = (about.get("flags") or about.get("features") or "").split()
    return ShardWorker(
        host=socket.gethostname(),
        system=f"{platform.system()} {platform.machine()}",
        processor=about.get("model name", ""),
        instructions=tuple(sorted({flag for flag in flags if flag.startswith(_INSTRUCTIONS)})),
        cores=usable_cores(),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        versions=_versions(),
    )


def _about_processor() -> dict[str, str]:
    """What the system tells of the first processor, by its own names in small letters."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").partition("\n\n")[0].splitlines()
    except OSError:
        return {}
    return {name.strip().lower(): text.strip() for name, _, text in (line.partition(":") for line in lines)}


def _versions() -> dict[str, str]:
    names = {
        "quantlab",
        "numpy",
        "keras",
        *(name for format_ in REAL.formats.values() for name in format_.python.packages),
    }
    known = {platform.python_implementation(): platform.python_version()}
    for name in sorted(names):
        try:
            known[name] = version(name)
        except PackageNotFoundError:
            known[name] = "none"
    return known
