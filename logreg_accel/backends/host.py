"""How much host memory this process may still use."""

import os
from pathlib import Path

_CACHE = ("inactive_file", "active_file"), ("total_inactive_file", "total_active_file")
"""Memory that a control group counts as used but can free; in version 1, that of the groups below it too."""


def available_memory(proc=Path("/proc"), groups=Path("/sys/fs/cgroup")):
    """Bytes that can be allocated without swapping or being killed; None if that is unknown.

    This is the least of the machine's free memory and of what the limits of control groups (containers have
    such limits) leave. psutil would be one more dependency, and it knows only about the machine.
    """
    known = [_of_machine(proc), *_of_groups(proc, groups)]
    return min((max(value, 0) for value in known if value is not None), default=None)


def _of_machine(proc):
    for line in _lines(proc / "meminfo"):
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    try:  # systems other than Linux report only the total
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _of_groups(proc, groups):
    """What the limit of each group that contains this process leaves, for both versions of control groups."""
    for line in _lines(proc / "self" / "cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            yield from _along(groups, path, "memory.max", "memory.current")
        elif "memory" in controllers.split(","):
            yield from _along(groups / "memory", path, "memory.limit_in_bytes", "memory.usage_in_bytes")


def _along(root, path, limit, usage):
    """The same for a group and all groups above it, some of which a container may not see."""
    group = root / path.lstrip("/")
    for folder in (group, *(parent for parent in group.parents if parent.is_relative_to(root))):
        most, used = _number(folder / limit), _number(folder / usage)
        if most is not None and used is not None:
            fields = dict(line.split() for line in _lines(folder / "memory.stat"))
            given_back = max(sum(int(fields.get(name, 0)) for name in names) for names in _CACHE)
            yield most - max(used - given_back, 0)


def _number(path):
    """The number in a file; None if there is no file, or if it says "max"."""
    lines = _lines(path)
    return int(lines[0]) if lines and lines[0].isdigit() else None


def _lines(path):
    try:
        return path.read_text(encoding="ascii").splitlines()
    except OSError:
        return []
