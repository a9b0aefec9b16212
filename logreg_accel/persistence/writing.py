"""Files that are written completely or not at all."""

import contextlib
import hashlib
import os
import secrets
import stat


def write_whole(path, write):
    """Call write(file) on a temporary binary file beside `path`, flush it to disk, then rename it to `path`.

    Whatever fails, `path` holds either its old content or all of the new one. A file that existed before
    keeps its permissions. An existing path that is not a regular file (a pipe, a terminal, /dev/null) is
    written to directly.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    path = os.fspath(path)
    old = _status(path)
    if old is not None and not stat.S_ISREG(old.st_mode):
        with open(path, "wb") as file:
            write(file)
        return
    path = _replaceable(path, old)
    with _temporary(path, old) as (temporary, file):
        write(file)
        file.flush()
        os.fsync(file.fileno())
        os.replace(temporary, path)
    _sync_folder(os.path.dirname(path))


def check_writable(path):
    """Raise early the OSError that `write_whole` would raise after the work.

    A file is created and removed again, the only check that finds read-only disks, quotas and missing
    permissions alike.
    """
    path = os.fspath(path)
    old = _status(path)
    if old is None or stat.S_ISREG(old.st_mode):
        with _temporary(_replaceable(path, old), old):
            return
    if stat.S_ISDIR(old.st_mode):
        raise IsADirectoryError(f"{path} is a folder; expected a file name")
    _check_access(path)


def _status(path):
    """The status of the file at the end of all links, or None if there is none; OSError for invalid paths."""
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None


def _replaceable(path, old):
    """The file itself, at the end of all links, so that they are kept."""
    if old is not None:
        _check_access(path)
    real = os.path.realpath(path)
    if not os.path.isdir(os.path.dirname(real)):
        raise FileNotFoundError(f"{path}: {os.path.dirname(real)} is not a folder to write to")
    return real


def _check_access(path):
    """Raise OSError if the file may not be written, since a rename would replace it nevertheless."""
    if not os.access(path, os.W_OK):
        raise PermissionError(f"{path} may not be written; change its permissions or name another file")


# -- the temporary file --------------------------------------------------------------------------------------
#
# Its name contains a hash of the file's name, so that it is short for a name of any length, and so that the
# next save finds the file of a killed one. The lock distinguishes that from the file of a save in progress,
# because a lock ends with its process.


@contextlib.contextmanager
def _temporary(path, old):
    """A new locked file beside `path`, (name, binary file), which is gone afterwards unless renamed."""
    folder, prefix = os.path.dirname(path), _prefix(path)
    _remove_left_behind(folder, prefix)
    try:
        name, handle = _created(folder, prefix, 0o666 if old is None else 0o600)
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror}, in this folder", path) from error
    try:
        with os.fdopen(handle, "wb") as file:
            if old is not None:
                _give_access(handle, old)
            yield name, file
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)


def _prefix(path):
    return f".logreg_accel-{hashlib.sha256(os.fsencode(os.path.basename(path))).hexdigest()[:16]}-"


def _created(folder, prefix, mode):
    while True:
        name = os.path.join(folder, f"{prefix}{secrets.token_hex(4)}.tmp")
        handle = os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, mode)
        _lock(handle)
        if os.fstat(handle).st_nlink:
            return name, handle
        os.close(handle)  # removed by another save before it was locked


def _lock(handle, wait=True):
    """Whether the lock of an open file was taken; not where the file system has none."""
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True


def _remove_left_behind(folder, prefix):
    """Remove the temporary files of saves that were killed."""
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            if name.startswith(prefix):
                _remove_unlocked(os.path.join(folder, name))


def _remove_unlocked(name):
    with contextlib.suppress(OSError):
        handle = os.open(name, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if _lock(handle, wait=False):
                os.unlink(name)
        finally:
            os.close(handle)


def _give_access(handle, old):
    """Take over the permissions and, where that is allowed, the owner of the file that is replaced."""
    with contextlib.suppress(PermissionError):
        os.fchown(handle, old.st_uid, old.st_gid)
    os.fchmod(handle, stat.S_IMODE(old.st_mode) & 0o777)


def _sync_folder(folder):
    """Flush the rename itself to disk, where the folder may be read."""
    with contextlib.suppress(PermissionError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
