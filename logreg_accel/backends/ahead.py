"""Whether Numba's loops were compiled ahead: `logreg-accel doctor --warm` leaves a marker on disk.

The choice of a backend depends only on this marker, never on what happens to be compiled: a result must not
depend on earlier runs.
"""

import functools
import importlib.metadata
import os
import platform
from pathlib import Path


def marker():
    """The path of the file, in the user's cache folder; None without a home folder."""
    try:
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:
        return None
    return Path(home) / "logreg_accel" / "compiled-ahead"


def _compiled_for():
    """The contents of the marker: with other versions, or another folder, code has to be compiled again."""
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("logreg-accel", "numba")]
    folder = os.environ.get("NUMBA_CACHE_DIR") or "the usual folder"
    return "\n".join([*versions, f"Python {platform.python_version()}", folder]) + "\n"


@functools.cache
def compiled_ahead():
    """Whether the marker exists and has these versions; read once per process."""
    path = marker()
    try:
        return path is not None and path.read_text() == _compiled_for()
    except (OSError, ValueError, importlib.metadata.PackageNotFoundError):
        return False


def mark():
    """Leave the marker, and return its path.

    Raises
    ------
    OSError
        It cannot be written.
    """
    path = marker()
    if path is None:
        raise OSError("there is no home folder to keep it in; set XDG_CACHE_HOME")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_compiled_for())
    compiled_ahead.cache_clear()
    return path
