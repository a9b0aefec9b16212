"""Several models side by side as columns of one W: `beside` joins passes of one formula, `parted` separates
their sums."""

from dataclasses import replace

import numpy as np

from .passes import Diagonal, HessianVector, LossGradient, Model, Sums

_COLUMNS = ("W", "V")


def beside(passes):
    """Return one pass for several with the same formula, loss and rows, with their columns side by side."""
    first = passes[0]
    if not isinstance(first, LossGradient | HessianVector | Diagonal):
        raise TypeError(f"{type(first).__name__} cannot be computed for several models at once.")
    # Margins of many models are as large as X.
    known = {"margins": None, "curvatures": None} if isinstance(first, HessianVector) else {"margins": None}
    if isinstance(first, LossGradient):
        known = {"keep_margins": False, "since": None, "wanted": ()}
    columns = {
        name: np.hstack([getattr(p, name) for p in passes]) for name in _COLUMNS if hasattr(first, name)
    }
    models = sum((p.models or (Model(),) for p in passes), ())
    return replace(first, **columns, **known, models=models)


def parted(sums, count):
    """The results of `count` single passes, from the result of the pass that `beside` made of them."""
    if not isinstance(sums, Sums):
        return np.hsplit(sums, count)
    diagonals = [None] * count if sums.diagonal is None else np.hsplit(sums.diagonal, count)
    values, gradients = np.split(sums.value, count), np.hsplit(sums.gradient, count)
    return [Sums(v, g, None, d) for v, g, d in zip(values, gradients, diagonals, strict=True)]
