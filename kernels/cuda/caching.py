"""Compiled kernels on disk, so that a process after the first one asks no compiler.

CuPy keeps what it compiles, too, but has its compiler loaded and asked before it looks, in every process, and
cannot be imported where its folder cannot be made. Here a kernel is two files, written whole or not at all:
machine code as CuPy loads it, and beside it what the kernel is called there and the code's checksum. What
does not agree counts as missing. Where nothing can be written, a folder of this process's own serves.
"""

import functools
import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import NamedTuple


class Compiled(NamedTuple):
    """A file of machine code, and the name of the kernel in it."""

    path: str
    name: str


def folder():
    """Where compiled kernels are kept; None where neither the environment nor the system knows a home."""
    try:
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:
        return None
    return Path(home) / "logreg_accel" / "cuda"


def found(key):
    """The Compiled of a key, whose repr tells it from others; None where it is not kept, or damaged."""
    kept = folder()
    if kept is None:
        return None
    code, about = _files(kept, key)
    try:
        told = json.loads(about.read_text(encoding="utf-8"))
        if hashlib.sha256(code.read_bytes()).hexdigest() == told["sha256"]:
            return Compiled(str(code), told["name"])
    except (OSError, ValueError, KeyError, TypeError):  # of a file cut short: whatever JSON makes of it
        pass
    return None


def keep(key, name, machine_code):
    """Write a kernel down for later processes, or for this one alone; its Compiled."""
    told = json.dumps({"name": name, "sha256": hashlib.sha256(machine_code).hexdigest()})
    for place in (folder, _of_this_process):
        kept = place()
        try:
            if kept is not None:
                kept.mkdir(parents=True, exist_ok=True)
                code, about = _files(kept, key)
                _replace(code, machine_code)
                _replace(about, told.encode())
                return Compiled(str(code), name)
        except OSError:
            if place is _of_this_process:
                raise


@functools.cache
def _temporary():
    return tempfile.TemporaryDirectory(prefix="logreg-accel-cuda-")  # removed when the process ends


def _of_this_process():
    return Path(_temporary().name)


def _files(kept, key):
    stem = hashlib.sha256(repr(key).encode()).hexdigest()[:32]
    return kept / f"{stem}.cubin", kept / f"{stem}.json"


def _replace(path, content):
    """Write a file under a name of its own first: who reads meanwhile finds the old one, or none."""
    handle, unfinished = tempfile.mkstemp(dir=path.parent, prefix=path.stem)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(unfinished, path)
    except BaseException:
        os.unlink(unfinished)
        raise
