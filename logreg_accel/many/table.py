"""The table of models that share their reads, and the rows that all of them are about."""

from typing import Any, NamedTuple

import numpy as np

from ..backends.passes import Model
from ..data import Block, Labelled, factors_of
from ..penalty import Penalty


class Spec(NamedTuple):
    """One model of a table.

    Attributes
    ----------
    model : Model
        Its labels, the rows that it trains on, what its classes count.
    C, l1_ratio : float
    """

    model: Model
    C: float = 1.0
    l1_ratio: float = 0.0


class Shared(NamedTuple):
    """Rows with everything that models of a table choose from.

    Attributes
    ----------
    X : Matrix
    codes : ndarray (m,) or (m, targets)
        Class codes; where a label is missing any of them.
    weights : ndarray (m,), float64, or None
        As the user gave them.
    trains : ndarray (m, splits) of bool
        Which rows each split trains on.
    classes : ndarray (n_classes,)
    offset : ndarray (m, 1) or (m, n_classes), or None
    """

    X: Any
    codes: np.ndarray
    weights: Any
    trains: np.ndarray
    classes: np.ndarray
    offset: Any = None

    def block(self):
        """All rows as a Block, with their weights scaled to fit float32, and the scale."""
        bits = np.packbits(self.trains, axis=1, bitorder="little") if self.trains.shape[1] else None
        s, scale = _scaled(self.weights)
        return Block(self.X, self.codes, s, bits, self.offset), scale

    def of(self, model):
        """Codes of a model's target, and what each row counts in it, float64."""
        y = self.codes if self.codes.ndim == 1 else self.codes[:, model.target]
        s = np.ones(len(y)) if self.weights is None else self.weights.astype(np.float64)
        if model.split is not None:
            s = s * self.trains[:, model.split]
        return y, s if model.class_weight is None else s * np.array(model.class_weight)[y]

    def class_totals(self, model):
        """Σ s of each class that a model trains on, its class weights left out."""
        y, s = self.of(model._replace(class_weight=None))
        return np.bincount(y, weights=s, minlength=len(self.classes))

    def alone(self, spec):
        """The Labelled rows of a model that is fitted by itself: rows that do not train have no weight."""
        y, s = self.of(spec.model)
        s, scale = _scaled(s)
        factors = None if spec.model.class_weight is None else np.array(spec.model.class_weight)
        block = Block(self.X, np.ascontiguousarray(y), s, offset=self.offset)
        return Labelled(block, self.classes, scale, factors)


def weight_of(totals, model):
    """Σ s of a model, from the totals of its classes."""
    factors = np.ones(len(totals)) if model.class_weight is None else np.array(model.class_weight)
    return float(totals @ factors)


def penalty_of(spec, total):
    return Penalty.of_strength(spec.C, total, spec.l1_ratio)


def _scaled(s):
    """Weights divided by the power of two that brings the largest to between 1 and 2, and that power."""
    if s is None or not s.any():
        return s, 1.0
    scale = 2.0 ** (np.frexp(float(s.max()))[1] - 1)
    return s / scale, scale


def class_factors(shared, model, class_weight, where):
    """What each class counts in a model, as its `class_weight` wants it; a class that is missing is named.

    Raises
    ------
    ValueError
        There are fewer than two classes among the rows that the model trains on, or the weights are wrong.
    """
    totals = shared.class_totals(model)
    if (totals > 0).sum() < 2:
        raise ValueError(
            f"In {where} there are rows of positive weight to train on of the classes "
            f"{shared.classes[totals > 0].tolist()} alone, out of {shared.classes.tolist()}; "
            "at least two are needed. Use another split (StratifiedKFold), or leave it out."
        )
    if class_weight is None:
        return None
    factors = factors_of(class_weight, shared.classes, totals)
    if ((totals > 0) & (factors > 0)).sum() < 2:
        raise ValueError(f"`class_weight` is {class_weight!r} and leaves {where} fewer than two classes.")
    return tuple(float(factor) for factor in factors)
