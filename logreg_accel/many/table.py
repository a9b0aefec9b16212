"""The table of models that share their reads, and their rows."""

from typing import Any, NamedTuple

import numpy as np

from ..backends.passes import Model
from ..data import Block, Labelled, factors_of
from ..penalty import Penalty
from ..rows import Relabelled

_ROWS = 1 << 16  # rows that are processed together


class Spec(NamedTuple):
    """One model of a table.

    Attributes
    ----------
    model : Model
        Its labels, training rows and class weights.
    C, l1_ratio : float
    """

    model: Model
    C: float = 1.0
    l1_ratio: float = 0.0


class Shared(NamedTuple):
    """Rows with all labels, splits and weights that the models of a table use.

    Attributes
    ----------
    X : Matrix or Store
        In memory, or read block by block.
    codes : ndarray (m,) or (m, targets)
        Class codes; any code where a label is missing.
    weights : ndarray (m,), float64, or None
        As the user gave them.
    splits : ndarray (m, ⌈splits/8⌉) of uint8, or None
        As in `Block`: which rows each split trains on.
    classes : ndarray (n_classes,)
    offset : ndarray (m, 1) or (m, n_classes), or None
    memory : int or None
        Bytes that a fit may use if rows are read block by block, in addition to the arrays above.
    taken : int
        The bytes that these arrays take.
    """

    X: Any
    codes: np.ndarray
    weights: Any
    splits: Any
    classes: np.ndarray
    offset: Any = None
    memory: int | None = None
    taken: int = 0

    @property
    def streamed(self):
        """Whether rows are read block by block."""
        return self.memory is not None

    def together(self):
        """The rows of all models, with weights that are scaled to fit float32."""
        if self.streamed:
            return self._relabelled(lambda rows: [a if a is None else a[rows] for a in self[1:4]])
        s, scale = _scaled(self.weights)
        return Labelled(Block(self.X, self.codes, s, self.splits, self.offset), self.classes, scale)

    def alone(self, spec):
        """The rows of a model that is fitted alone: rows that it does not train on have weight zero."""
        weighted = self.weights is not None or spec.model != Model(spec.model.target)

        def labels(rows):
            y, s = self._of(spec.model, rows)
            return np.ascontiguousarray(y), s if weighted else None, None

        if self.streamed:
            return self._relabelled(labels)._replace(class_shares=self._shares(spec.model))
        y, s, _ = labels(slice(None))
        s, scale = _scaled(s)
        factors = None if spec.model.class_weight is None else np.array(spec.model.class_weight)
        return Labelled(Block(self.X, y, s, None, self.offset), self.classes, scale, factors)

    def _shares(self, model):
        """As `Labelled.class_shares`."""
        totals, factors = self.class_totals(model), model.class_weight or np.ones(len(self.classes))
        weighted, plain = totals * factors, np.where(np.asarray(factors) > 0, totals, 0)
        return np.array([weighted / weighted.sum(), plain / plain.sum()])

    def _relabelled(self, labels):
        total, largest, least = 0.0, 0.0, np.inf
        for start in range(0, len(self.codes), _ROWS):
            s = labels(slice(start, start + _ROWS))[1]
            if s is None:
                return Relabelled(self.X, self.classes, self.memory, self.taken, labels)
            total, largest = total + s.sum(), max(largest, s.max())
            least = min(least, s.min(where=s > 0, initial=np.inf))
        facts = float(total), float(largest), float(least)
        return Relabelled(self.X, self.classes, self.memory, self.taken, labels, facts)

    def _of(self, model, rows):
        """Codes of a model's target, and the weights of some rows in it, float64."""
        y = self.codes[rows] if self.codes.ndim == 1 else self.codes[rows, model.target]
        s = np.ones(len(y)) if self.weights is None else self.weights[rows]
        if model.split is not None:
            s = s * (self.splits[rows, model.split // 8] >> model.split % 8 & 1)
        return y, s if model.class_weight is None else s * np.array(model.class_weight)[y]

    def class_totals(self, model):
        """Σ s of each class over the training rows of a model, without class weights."""
        totals, model = np.zeros(len(self.classes)), model._replace(class_weight=None)
        for start in range(0, len(self.codes), _ROWS):
            y, s = self._of(model, slice(start, start + _ROWS))
            totals += np.bincount(y, weights=s, minlength=len(self.classes))
        return totals


def packed(trains):
    """Split bits, as in `Block`, from the training rows of each split, (m, splits) of bool; None without
    splits."""
    return np.packbits(trains, axis=1, bitorder="little") if trains.shape[1] else None


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
    """The weight of each class in a model by its `class_weight`; an error names a missing class.

    Raises
    ------
    ValueError
        There are fewer than two classes among the rows that the model trains on, or the weights are wrong.
    """
    totals = shared.class_totals(model)
    if (totals > 0).sum() < 2:
        raise ValueError(
            f"In {where} the rows of positive weight to train on have only the classes "
            f"{shared.classes[totals > 0].tolist()}, out of {shared.classes.tolist()}; "
            "at least two are needed. Use another split (StratifiedKFold), or leave it out."
        )
    if class_weight is None:
        return None
    factors = factors_of(class_weight, shared.classes, totals)
    if ((totals > 0) & (factors > 0)).sum() < 2:
        raise ValueError(f"`class_weight` is {class_weight!r} and leaves {where} fewer than two classes.")
    return tuple(float(factor) for factor in factors)
