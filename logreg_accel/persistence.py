"""Saving and loading of fitted models: one .npz file without pickle, with a JSON header and a checksum.

The file is a zip of .npy members, readable by `numpy.load`: `header` (UTF-8 JSON as bytes), the arrays, and
`sha256`, a digest of all of them. A file is written completely or not at all.
"""

import dataclasses
import hashlib
import inspect
import io
import json
import math
import numbers
import os
import sys
import tempfile
import zipfile

import numpy as np

from .backends import Choice
from .history import Record
from .solvers import SOLVERS

FORMAT = "logreg_accel"
SCHEMA = 1
_SCALARS = ("n_passes_", "suboptimality_", "suboptimality_bound_", "status_", "n_features_in_")


def pack(model):
    """Take a fitted model apart into (header, arrays): JSON values, and arrays without Python objects."""
    params = {name: value for name, value in model.get_params(deep=False).items() if _is_plain(value)}
    if dataclasses.is_dataclass(model.solver):
        params["solver"] = {"name": str(model.solver_), **dataclasses.asdict(model.solver)}
    params["class_weight"] = (
        list(model.class_weight.items()) if isinstance(model.class_weight, dict) else model.class_weight
    )
    header = {
        "kind": "model",
        "params": _to_json(params),
        "attributes": {name: _to_json(getattr(model, name)) for name in _SCALARS},
        "backend": [str(model.backend_), model.backend_.reason],
        "solver": [str(model.solver_), model.solver_.reason],
        "versions": {"logreg_accel": sys.modules[__package__].__version__, "numpy": np.__version__},
    }
    if hasattr(model, "feature_names_in_"):
        header["feature_names"] = model.feature_names_in_.tolist()
    arrays = {
        "coef": model.coef_,
        "intercept": model.intercept_,
        "n_iter": model.n_iter_,
        "history": np.array(model.history_, dtype=np.float64),
    }
    if model.classes_.dtype.kind in "iufb":
        arrays["classes"] = model.classes_
    else:
        header["classes"] = [str(label) for label in model.classes_]
        header["classes_dtype"] = "object" if model.classes_.dtype == object else model.classes_.dtype.str
    return header, arrays


def unpack(estimator, header, arrays):
    """Rebuild the fitted model that `pack` took apart.

    Parameters that this version does not know are left out.
    """
    known = inspect.signature(estimator).parameters
    params = {name: _from_json(value) for name, value in header["params"].items() if name in known}
    if isinstance(params.get("solver"), dict):
        settings = params["solver"]
        params["solver"] = SOLVERS[settings.pop("name")](**settings)
    if isinstance(params.get("class_weight"), list):
        params["class_weight"] = {label: weight for label, weight in params["class_weight"]}
    model = estimator(**params)
    for name, value in header["attributes"].items():
        setattr(model, name, _from_json(value))
    model.backend_, model.solver_ = Choice(*header["backend"]), Choice(*header["solver"])
    model.coef_, model.intercept_, model.n_iter_ = arrays["coef"], arrays["intercept"], arrays["n_iter"]
    model.history_ = [Record(int(row[0]), *row[1:]) for row in arrays["history"].tolist()]
    if "classes" in header:
        model.classes_ = np.array(header["classes"], dtype=header["classes_dtype"])
    else:
        model.classes_ = arrays["classes"]
    if "feature_names" in header:
        model.feature_names_in_ = np.array(header["feature_names"], dtype=object)
    return model


def _is_plain(value):
    return value is None or isinstance(value, str | bool | numbers.Real)


def _to_json(value):
    """Convert a value to JSON types, which lack inf, nan and NumPy scalars; `_from_json` is the inverse."""
    if isinstance(value, dict):
        return {name: _to_json(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_to_json(item) for item in value]
    value = value.item() if isinstance(value, np.generic) else value
    return {"float": repr(value)} if isinstance(value, float) and not math.isfinite(value) else value


def _from_json(value):
    return float(value["float"]) if isinstance(value, dict) and set(value) == {"float"} else value


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


def write_whole(path, write):
    """Call write(file) on a temporary binary file beside `path`, flush it to disk, then rename it to `path`.

    Whatever fails, `path` holds either its old content or all of the new one. If `path` exists and is not a
    regular file (a pipe, a terminal, /dev/null), it is written to directly.
    """
    path = os.path.realpath(path)  # so that a symbolic link is kept
    if os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):
        with open(path, "wb") as file:
            write(file)
        return
    folder = os.path.dirname(path)
    handle, temporary = tempfile.mkstemp(dir=folder, prefix=f".{os.path.basename(path)}.")
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())  # mkstemp grants access to the owner only
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    _sync_folder(folder)


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
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        try:
            members = _read_members(file, size)
            sound = np.array_equal(members.pop("sha256"), _digest(members))
            header = json.loads(members.pop("header").tobytes()) if sound else None
        except Exception as error:  # parsers report damaged bytes in many ways
            raise ValueError(
                f"{path!r} is not a complete model file of logreg_accel ({error}). Save the model again."
            ) from error
    if header is None:
        raise ValueError(f"{path!r} is damaged: its checksum does not match. Save the model again.")
    if header.get("format") != FORMAT:
        raise ValueError(f"{path!r} has format {header.get('format')!r}; expected {FORMAT!r}.")
    if header["schema"] > SCHEMA:
        raise ValueError(
            f"{path!r} has schema {header['schema']}; this version of logreg_accel reads up to {SCHEMA}. "
            "Upgrade logreg_accel."
        )
    return header, members


def _read_members(file, size):
    members = {}
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            if info.file_size > size:  # members are stored uncompressed: this is a zip bomb
                raise ValueError(
                    f"member {info.filename!r} claims {info.file_size} bytes of a file of {size}"
                )
            content = io.BytesIO(archive.read(info))
            members[info.filename.removesuffix(".npy")] = np.lib.format.read_array(
                content, allow_pickle=False
            )
    return members


def _digest(members):
    """Compute SHA-256 over names, dtypes, shapes and bytes, in the order of the names."""
    digest = hashlib.sha256()
    for name, array in sorted(members.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return np.frombuffer(digest.digest(), dtype=np.uint8)


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_folder(folder):
    """Flush the rename itself to disk, except on Windows, which cannot open a folder."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
