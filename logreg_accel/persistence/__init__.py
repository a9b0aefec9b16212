"""Saving and loading of fitted models: one .npz file without pickle, with a JSON header and a checksum.

`save` writes nothing that `load` would refuse, and a file completely or not at all. `load` can be given any
file, and raises ValueError if `save` cannot have written it.
"""

import json
import os

from .archive import load_arrays, save_arrays
from .model import pack, unpack

__all__ = ["load", "save"]


def save(path, estimator, model):
    """Write a fitted model to a file.

    Raises
    ------
    OSError
        The file cannot be written; what was there before is untouched.
    ValueError
        The model could not be loaded again; nothing is written.
    """
    try:
        header, arrays = pack(model)
        unpack(estimator, json.loads(json.dumps(header)), arrays)
    except (ValueError, TypeError) as error:
        raise ValueError(f"This model cannot be saved: {error}. Nothing was written.") from error
    save_arrays(path, header, arrays)


def load(path, estimator):
    """Read a model that `save` wrote, as a fitted `estimator`.

    Raises
    ------
    OSError
        The file cannot be opened.
    ValueError
        It was not written by `save`, is damaged or truncated, or of a newer version.
    """
    header, arrays = load_arrays(path)
    try:
        return unpack(estimator, header, arrays)
    except ValueError as error:
        raise ValueError(
            f"{os.fspath(path)!r} is not a usable model of logreg_accel: {error}. Save the model again."
        ) from error
