"""How much host memory this process may still use."""

import os
from pathlib import Path

_CACHE = ("inactive_file", "active_file"), ("total_inactive_file", "total_active_file")
"""What a control group counts as used and gives back when asked; in version 1 with the groups below it."""


def available_memory(proc=Path("/proc"), groups=Path("/sys/fs/cgroup")):
    """Bytes that may be taken without swapping or being killed; None where nobody says.

    The least of what the machine has to give and of what the limits of control groups, as those of a
    container, leave. psutil, which knows the machine alone, would be one more dependency.
    """
    known = [_of_machine(proc), *_of_groups(proc, groups)]
    return min((max(value, 0) for value in known if value is not None), default=None)


def _of_machine(proc):
    for line in _lines(proc / "meminfo"):
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    try:  # elsewhere than on Linux all of it
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _of_groups(proc, groups):
    """What the limit of each group that holds this process leaves, of either version of control groups."""
    for line in _lines(proc / "self" / "cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            yield from _along(groups, path, "memory.max", "memory.current")
        elif "memory" in controllers.split(","):
            yield from _along(groups / "memory", path, "memory.limit_in_bytes", "memory.usage_in_bytes")


def _along(root, path, limit, usage):
    """Of a group and all above it; inside a container the first ones may not be there."""
    group = root / path.lstrip("/")
    for folder in (group, *(parent for parent in group.parents if parent.is_relative_to(root))):
        most, used = _number(folder / limit), _number(folder / usage)
        if most is not None and used is not None:
            fields = dict(line.split() for line in _lines(folder / "memory.stat"))
            given_back = max(sum(int(fields.get(name, 0)) for name in names) for names in _CACHE)
            yield most - max(used - given_back, 0)


def _number(path):
    """The number in a file; None where there is none, or "max"."""
    lines = _lines(path)
    return int(lines[0]) if lines and lines[0].isdigit() else None


def _lines(path):
    try:
        return path.read_text(encoding="ascii").splitlines()
    except OSError:
        return []
