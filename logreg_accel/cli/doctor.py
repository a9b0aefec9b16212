"""`logreg-accel doctor`: what this machine can use."""

import importlib.metadata
import os
import platform
from pathlib import Path

from .. import backends
from ..backends import CUPY_FROM_BYTES, NUMBA_FROM_BYTES
from ..backends.threads import available_threads
from .output import print_facts, print_json, print_table

_PACKAGES = (
    "logreg-accel",
    "numpy",
    "scipy",
    "scikit-learn",
    "numba",
    "cupy-cuda13x",
    "cupy-cuda12x",
    "pyarrow",
    "matplotlib",
    "rich",
)


def doctor(options):
    """Print which backends are usable, why the others are not, and what the machine and its libraries are."""
    usable = backends()
    facts = machine()
    versions = {name: _version(name) for name in _PACKAGES}
    if options.json:
        print_json({"backends": usable, "machine": facts, "versions": versions})
        return
    print_table(
        "Backends",
        ["name", "usable", "why not"],
        [[name, "no" if why else "yes", why or ""] for name, why in usable.items()],
    )
    print_facts(
        "\nbackend='auto' takes",
        {
            f"below {NUMBA_FROM_BYTES >> 20} MiB of X, a quarter of that if sparse": "numpy",
            "from there": "numba",
            f"from {CUPY_FROM_BYTES >> 20} MiB, or for X on a GPU": "cupy, where it is usable",
        },
    )
    print_facts("\nMachine", facts)
    print_facts("\nVersions", {name: version or "not installed" for name, version in versions.items()})


def machine():
    """Describe CPU, threads, memory and BLAS in plain values; benchmark results are filed under them."""
    import threadpoolctl

    blas = [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
    return {
        "processor": _processor(),
        "threads": available_threads(),
        "memory_GiB": round(_memory_limit() / 2**30, 1),
        "blas": ", ".join(
            sorted(
                {f"{pool['internal_api']} {pool['version']} ({pool['num_threads']} threads)" for pool in blas}
            )
        ),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def _processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


def _memory_limit():
    """Return the bytes of memory that this process may use, fewer in a container than the machine has."""
    limit = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        return min(limit, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    except (OSError, ValueError):  # no cgroup v2, or no limit ("max")
        return limit


def _version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
