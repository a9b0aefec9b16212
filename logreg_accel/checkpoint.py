"""Checkpoints: a log of sums over all rows, from which a killed fit continues.

Sums are functions of the pass and the rows alone. So the log is a table, pass -> sums, to which answers are
appended and synced. A fit that is started again asks for the same passes, finds their sums in the log, and
ends with the same bits. If it takes another course, for example because a budget ended the first run, it
finds the sums that it asks for again and computes the rest. Row vectors are not logged; the pass that made
them makes them again when they are needed. Drawn rows are logged by number and weight, and gathered again.
"""

import contextlib
import dataclasses
import hashlib
import io
import json
import os
import struct
import zlib

import numpy as np

from .backends import passes as p
from .backends.passes import Change, RowVector, Sums

_LOGGED = {p.LossGradient, p.HessianVector, p.Diagonal, p.Hessian, p.MeanHessian, p.OwnHessians}
_LOGGED |= {
    p.ColumnSquares,
    p.Margins,
    p.RowSquares,
    p.Line,
    p.MarginChange,
    p.AboveTangent,
    p.CurvatureMass,
    p.WeightSum,
}

_MAGIC = b"logreg_accel checkpoint 1\n"
_MOST = 1 << 22  # largest number of bytes of the line that identifies the fit
_HEAD = struct.Struct("<II32s")  # number of bytes, their checksum, the key


class Checkpoint:
    """The log in a file; opened with `opened`.

    Attributes
    ----------
    found : int
        Number of answers that were found in the file.
    """

    def __init__(self, path, file, places):
        self.path, self.file, self.places = path, file, places
        self.found = len(places)

    def sums(self, pass_, about, compute):
        """The sums of a pass over all rows, from the log if they are there, otherwise from compute().

        Parameters
        ----------
        pass_ : Pass
        about : tuple
            Everything else on which the sums depend.
        compute : function () -> Sums, array or RowVector
        """
        key = _key(type(pass_).__name__, about, _fields(pass_)) if type(pass_) in _LOGGED else None
        if key is None:
            return compute()
        if pass_.of_rows:
            return _named(_Later(compute), key)
        known = self._get(key)
        if known is not None:
            return _sums_of(known, lambda: _named(_Later(lambda: compute().margins), key))
        answer = compute()
        self._put(key, _arrays_of(answer), bool(pass_.reads))
        if isinstance(answer, Sums) and answer.margins is not None:
            _named(answer.margins, key)
        return answer

    def drawn(self, asked, about, choose):
        """Rows, weights and cost of a draw, from the log if they are there, otherwise from choose()."""
        key = _key("drawn", about, asked)
        if key is None:
            return choose()
        known = self._get(key)
        if known is not None:
            return known["rows"], known["weights"], float(known["cost"])
        rows, weights, cost, *_ = choose()
        self._put(key, {"rows": rows, "weights": weights, "cost": np.float64(cost)}, True)
        return rows, weights, cost

    def _get(self, key):
        place = self.places.get(key)
        if place is None:
            return None
        content = os.pread(self.file, place[1], place[0])
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}

    def _put(self, key, arrays, sync):
        content = io.BytesIO()
        np.savez(content, **arrays)
        content = content.getvalue()
        record = _HEAD.pack(len(content), zlib.crc32(content, zlib.crc32(key)), key) + content
        end = os.lseek(self.file, 0, os.SEEK_END)
        try:
            _write(self.file, record)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self.file, end)
            what = f"cannot write the checkpoint ({error.strerror})"
            raise OSError(error.errno, what, self.path) from error
        if sync:
            os.fsync(self.file)
        self.places[key] = (end + _HEAD.size, len(content))


@contextlib.contextmanager
def opened(path, facts):
    """A context with the Checkpoint in a file, which is created if there is none.

    Parameters
    ----------
    path : path-like
    facts : dict of str -> JSON values
        The facts that have to agree for a fit to continue.

    Raises
    ------
    ValueError
        The file is not a checkpoint, or it belongs to other data, parameters or versions; the message says
        what differs.
    BlockingIOError
        Another fit is writing to it.
    OSError
        It cannot be written.
    """
    import fcntl

    path, facts = os.fspath(path), json.loads(json.dumps(facts))
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BlockingIOError(error.errno, "another fit is writing this checkpoint", path) from None
        yield Checkpoint(path, file, _places(path, file, facts))
    finally:
        os.close(file)


def _places(path, file, facts):
    """Where answers are in the file; an incomplete answer at the end, left by a kill, is cut off."""
    size, start = os.fstat(file).st_size, os.pread(file, len(_MAGIC), 0)
    line = (
        os.pread(file, min(size, _MOST), len(_MAGIC)).partition(b"\n")[0] + b"\n" if start == _MAGIC else b""
    )
    unfinished = _MAGIC.startswith(start) and len(_MAGIC) + len(line) > size
    if unfinished or size == 0:  # killed before there was an answer
        os.ftruncate(file, 0)
        _write(file, _MAGIC + _line(facts), 0)
        os.fsync(file)
        return {}
    if start != _MAGIC:
        raise ValueError(f"{path!r} is not a checkpoint of this package; name another file for `checkpoint`.")
    _compare(path, line, facts)
    places, at = {}, len(start) + len(line)
    while at + _HEAD.size <= size:
        length, check, key = _HEAD.unpack(os.pread(file, _HEAD.size, at))
        content = os.pread(file, length, at + _HEAD.size)
        if len(content) < length or zlib.crc32(content, zlib.crc32(key)) != check:
            break
        places[key] = (at + _HEAD.size, length)
        at += _HEAD.size + length
    os.ftruncate(file, at)
    return places


def _line(facts):
    return json.dumps(facts, sort_keys=True).encode() + b"\n"


def _compare(path, line, facts):
    try:
        known = json.loads(line)
    except ValueError as error:
        raise ValueError(f"{path!r} is a damaged checkpoint; delete it to start again.") from error
    other = [name for name in {**known, **facts} if known.get(name) != facts.get(name)]
    if other:
        told = (f"{name} was {_told(known.get(name))} and is {_told(facts.get(name))}" for name in other)
        raise ValueError(
            f"{path!r} is the checkpoint of another fit: {'; '.join(told)}. Name another file for "
            "`checkpoint`, or delete it."
        )


def _told(value):
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _write(file, content, offset=None):
    if offset is not None:
        os.lseek(file, offset, os.SEEK_SET)
    while content:
        content = content[os.write(file, content) :]


# -- keys and values -----------------------------------------------------------------------------------------


def _fields(pass_):
    return [(field.name, getattr(pass_, field.name)) for field in dataclasses.fields(pass_)]


def _key(*asked):
    """A hash of what is asked; None if it holds a row vector without a name, which this log has not made."""
    known = hashlib.sha256()
    try:
        _feed(known, asked)
    except LookupError:
        return None
    return known.digest()


def _feed(known, value):
    if isinstance(value, RowVector):
        name = getattr(value, "key", None)
        if name is None:
            raise LookupError
        known.update(b"vector" + name)
    elif isinstance(value, np.ndarray):
        known.update(repr((value.dtype.str, value.shape)).encode() + np.ascontiguousarray(value).tobytes())
    elif isinstance(value, tuple | list):
        known.update(f"({len(value)}".encode())
        for item in value:
            _feed(known, item)
    elif value is None or isinstance(value, str | bytes | bool | int | float | np.generic):
        known.update(f"{type(value).__name__} {value!r} ".encode())
    else:  # a loss
        kind = type(value)
        known.update(f"{kind.__module__}.{kind.__qualname__} {sorted(vars(value).items())!r} ".encode())


class _Later(RowVector):
    """A row vector that is made when its parts are first needed."""

    def __init__(self, make):
        self.make, self.made = make, None

    @property
    def parts(self):
        if self.made is None:
            self.made = self.make()
        return self.made.parts


def _named(vector, key):
    vector.key = key
    return vector


def _arrays_of(answer):
    if isinstance(answer, Sums):
        arrays = {"value": answer.value, "gradient": answer.gradient}
        if answer.diagonal is not None:
            arrays["diagonal"] = answer.diagonal
        return arrays | {"margins": np.array(answer.margins is not None)}
    if isinstance(answer, tuple):  # Change
        return {"fields": np.array(answer), "type": np.array(type(answer).__name__)}
    return {"array": np.asarray(answer)}


def _sums_of(arrays, margins):
    if "value" in arrays:
        kept = margins() if arrays["margins"] else None
        return Sums(arrays["value"], arrays["gradient"], kept, arrays.get("diagonal"))
    if "fields" in arrays:
        return Change(*arrays["fields"].tolist())
    return arrays["array"]
