"""A header and arrays in one .npz file: a zip of .npy members without compression, readable by `numpy.load`.

The members are `header` (UTF-8 JSON as bytes), the arrays, and `sha256`, a digest of all of them. No more
bytes are read than the file has, whatever sizes it declares.
"""

import hashlib
import io
import json
import math
import os
import zipfile

import numpy as np

from .writing import write_whole

FORMAT = "logreg_accel"
SCHEMA = 1
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_LONGEST_LIST = 1 << 20  # bytes of the directory of a zip file; that of a model has some hundred


def save_arrays(path, header, arrays):
    """Write a header and arrays to a file, atomically; see `write_whole`.

    Parameters
    ----------
    path : path-like
    header : dict
        JSON values.
    arrays : dict of str -> ndarray
        No object arrays.

    Raises
    ------
    OSError
        The file cannot be written; a file that existed before is left untouched.
    """
    header = {"format": FORMAT, "schema": SCHEMA, **header}
    members = {**arrays, "header": np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)}
    members["sha256"] = _digest(members)
    write_whole(path, lambda file: np.savez(file, **members))


def load_arrays(path):
    """Read a file that `save_arrays` wrote.

    Returns
    -------
    header : dict
    arrays : dict of str -> ndarray

    Raises
    ------
    OSError
        The file cannot be opened.
    ValueError
        The file was not written by `save_arrays`, is damaged or truncated, or has a newer schema.
    """
    path = os.fspath(path)
    with _Careful(path) as file:
        try:
            members = _read_members(file)
            sound = np.array_equal(members.pop("sha256"), _digest(members))
            header = json.loads(members.pop("header").tobytes()) if sound else None
        except Exception as error:  # parsers report damaged bytes in many ways
            raise ValueError(
                f"{path!r} is not a complete model file of logreg_accel ({error}); expected one that "
                "`save` or `logreg-accel train` wrote."
            ) from error
    if not sound:
        raise ValueError(f"{path!r} is damaged: its checksum does not match. Save the model again.")
    found = header.get("format") if isinstance(header, dict) else type(header).__name__
    if found != FORMAT:
        raise ValueError(f"{path!r} has format {found!r}; expected {FORMAT!r}.")
    schema = header.get("schema")
    if type(schema) is not int or not 1 <= schema <= SCHEMA:
        raise ValueError(
            f"{path!r} has schema {schema!r}; this version of logreg_accel reads up to {SCHEMA}. "
            "Upgrade logreg_accel."
        )
    return header, members


class _Careful(io.FileIO):
    """A file that hands over at most `most` bytes at once."""

    most = _LONGEST_LIST

    def read(self, size=-1):
        if size < 0:
            size = self.size - self.tell()
        if size > self.most:
            raise ValueError(f"it asks for {size} bytes at once")
        return super().read(size)

    @property
    def size(self):
        return os.fstat(self.fileno()).st_size


def _read_members(file):
    """The arrays of a zip file by name; none is compressed, so that they are no longer than the file."""
    with zipfile.ZipFile(file) as archive:
        file.most = file.size  # the directory has been read
        members = archive.infolist()
        packed = [info.filename for info in members if info.compress_type != zipfile.ZIP_STORED]
        if packed:
            raise ValueError(f"member {packed[0]!r} is compressed, which `save` never does")
        claimed = sum(info.file_size for info in members)
        if claimed > file.size:
            raise ValueError(f"its members claim {claimed} bytes of a file of {file.size}")
        return {info.filename.removesuffix(".npy"): _read_array(archive, info) for info in members}


def _read_array(archive, info):
    with archive.open(info) as member:
        shape, _, dtype = _HEADERS[np.lib.format.read_magic(member)](member)
        promised, there = math.prod(shape) * dtype.itemsize, info.file_size - member.tell()
        if promised != there or dtype.itemsize == 0 or min(shape, default=0) < 0:
            raise ValueError(f"member {info.filename!r} promises {promised} bytes and has {there}")
        member.seek(0)
        return np.lib.format.read_array(member, allow_pickle=False)


def _digest(members):
    """Compute SHA-256 over names, dtypes, shapes and bytes, in the order of the names."""
    digest = hashlib.sha256()
    for name, array in sorted(members.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return np.frombuffer(digest.digest(), dtype=np.uint8)
