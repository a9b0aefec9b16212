"""What the tests compile is compiled once, whichever run or process asks first.

Results are found again by what determined them. They lie in LOGREG_ACCEL_TESTS_KEEP, by default in the user's
cache; those that nobody wanted for a week go.
"""

import contextlib
import functools
import hashlib
import os
import pickle
import shutil
import tempfile
import time
from pathlib import Path

try:
    import fcntl
except ImportError:  # then two processes may do the same work at once
    fcntl = None

_A_WEEK = 7 * 24 * 3600


@functools.cache
def _home():
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "logreg_accel" / "tests"
    home = Path(os.environ.get("LOGREG_ACCEL_TESTS_KEEP") or cache)
    try:
        home.mkdir(parents=True, exist_ok=True)
        (home / "used").touch()
    except OSError:
        return Path(tempfile.mkdtemp(prefix="logreg-accel-tests-"))
    for lock in home.glob("*/lock"):
        if time.time() - lock.stat().st_mtime > _A_WEEK:
            shutil.rmtree(lock.parent, ignore_errors=True)
    return home.resolve()


@contextlib.contextmanager
def folder_of(*content):
    """The folder of a result, for one process at a time; what determines the result is its content."""
    folder = _home() / hashlib.sha256(repr(content).encode()).hexdigest()[:20]
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as lock:
        os.utime(lock.fileno())
        if fcntl:
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder


def once(make, *content):
    """make(), or what it returned to whoever asked before with the same content."""
    with folder_of(*content) as folder:
        result, unfinished = folder / "result", folder / "unfinished"
        if not result.exists():
            unfinished.write_bytes(pickle.dumps(make()))
            os.replace(unfinished, result)
        return pickle.loads(result.read_bytes())
