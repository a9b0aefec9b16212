"""The cache of compiled kernels on disk, so that only the first process needs the compiler.

CuPy has such a cache, too, but loads and calls its compiler in every process before it looks there, and
cannot be imported if its folder cannot be created. Here a kernel is two files, each written whole or not at
all: machine code as CuPy loads it, and the kernel's name in it with the code's checksum. Files that do not
match count as missing. If nothing can be written, a temporary folder of this process is used.
"""

import atexit
import functools
import hashlib
import json
import os
import tempfile
import threading
from pathlib import Path
from typing import NamedTuple


class Compiled(NamedTuple):
    """A file of machine code, and the name of the kernel in it."""

    path: str
    name: str


def folder():
    """The folder of compiled kernels; None if neither the environment nor the system has a home folder."""
    try:
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:
        return None
    return Path(home) / "logreg_accel" / "cuda"


def found(key):
    """The Compiled of a key, which its repr identifies; None if there is none, or if it is damaged."""
    kept = folder()
    if kept is None:
        return None
    code, about = _files(kept, key)
    try:
        told = json.loads(about.read_text(encoding="utf-8"))
        if hashlib.sha256(code.read_bytes()).hexdigest() == told["sha256"]:
            return Compiled(str(code), told["name"])
    except (OSError, ValueError, KeyError, TypeError):  # a truncated file may have any JSON value
        pass
    return None


def keep(key, name, machine_code):
    """Keep a kernel for later processes or, if that is impossible, for this one; return its Compiled."""
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


_one_at_a_time = threading.Lock()


@functools.cache
def _temporary():
    folder = tempfile.TemporaryDirectory(prefix="logreg-accel-cuda-")
    atexit.register(folder.cleanup)  # left to the interpreter, its removal is a ResourceWarning
    return folder


def _of_this_process():
    with _one_at_a_time:  # of two folders that threads make at once, the one that is not kept is removed
        return Path(_temporary().name)


def _files(kept, key):
    stem = hashlib.sha256(repr(key).encode()).hexdigest()[:32]
    return kept / f"{stem}.cubin", kept / f"{stem}.json"


def _replace(path, content):
    """Write a file under a temporary name first, so that readers find the old one or none meanwhile."""
    handle, unfinished = tempfile.mkstemp(dir=path.parent, prefix=path.stem)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(unfinished, path)
    except BaseException:
        os.unlink(unfinished)
        raise
