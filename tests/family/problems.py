"""A random problem for every seed: a design, labels, weights, a penalty, a storage, and some fits of it."""

import dataclasses

import ml_dtypes
import numpy as np
import scipy.sparse

from .designs import DESIGNS, decades

SMOOTH = ("newton-cholesky", "newton-cg", "newton-subsampled", "lbfgs", "row-space")
PROXIMAL = ("prox-newton", "prox-newton")
FIRST_ORDER = {"fista": 300, "gd": 200, "sgd": 20}
"""Steps at most of solvers that end by their budgets on anything hard; what they say must be true, too."""

ROW_SPACE_UP_TO = 2000
"""Rows times outputs; beyond, row-space is slow, and refuses from 5,000 on."""

TOLERANCES = (1e-4, 1e-6, 1e-8, 1e-8, 1e-10)


@dataclasses.dataclass
class Problem:
    """What is fitted, and how.

    Attributes
    ----------
    seed : int
    name : str
        Design, labels, weights, penalty, storage.
    X, y, sample_weight
        As `fit` takes them.
    parameters : dict
        What all fits of this problem have in common.
    fits : list of dict
        What they differ in: parameters of the estimator, and `from_C`, the C of a fit before that this one
        starts from.
    """

    seed: int
    name: str
    X: object
    y: np.ndarray
    sample_weight: np.ndarray | None
    parameters: dict
    fits: list

    @property
    def size(self):
        """What a Hessian costs, in numbers of X."""
        outputs = len(np.unique(self.y))
        return self.X.shape[0] * (self.X.shape[1] + 1) * (1 if outputs == 2 else outputs**2)


def problem(seed):
    """The Problem of a seed."""
    rng = np.random.default_rng([1713, seed])
    kind = rng.choice(list(DESIGNS))
    m, n = _shape(rng, kind)
    X = DESIGNS[kind](rng, m, n)
    if not scipy.sparse.issparse(X) and rng.random() < 0.25:
        other = rng.choice([name for name in DESIGNS if "sparse" not in name and name != "wide"])
        X, kind = np.hstack([X, DESIGNS[other](rng, m, max(n // 3, 1))]), f"{kind} + {other}"
    X, storage = _stored(rng, X)
    n_classes = 2 if rng.random() < 0.8 or m > 2000 else _classes(rng, m, X.shape[1])
    y, labels = _labels(rng, X, n_classes)
    if rng.random() < 0.15:
        order = np.lexsort([y])
        X, y, labels = X[order], y[order], f"{labels}, sorted"
    sample_weight, class_weight, weights = _weights(rng, y)
    penalty = _penalty(rng)
    parameters = {**penalty, "fit_intercept": bool(rng.random() < 0.8), "class_weight": class_weight}
    told = ", ".join(f"{name}={value:.3g}" for name, value in penalty.items())
    intercept = "" if parameters["fit_intercept"] else ", no intercept"
    name = f"{m}×{X.shape[1]} {kind}; {labels}; {weights}{told}{intercept}; {storage}"
    return Problem(seed, name, X, y, sample_weight, parameters, list(_fits(rng, X, n_classes, penalty)))


def _shape(rng, kind):
    size = rng.choice(["tiny", "small", "medium", "tall"], p=[0.25, 0.45, 0.27, 0.03])
    low, high = {"tiny": (6, 60), "small": (60, 400), "medium": (400, 1500), "tall": (10_000, 30_000)}[size]
    m = int(np.exp(rng.uniform(np.log(low), np.log(high))))
    if kind == "wide":
        m = min(m, 90)
    most = 4 if size == "tall" else max(min(m // 2, 40), 2)
    return m, int(np.exp(rng.uniform(0, np.log(most))).round())


def _stored(rng, X):
    """X in one of the storages that hold it."""
    size = abs(X).max() if X.shape[1] else 0
    if scipy.sparse.issparse(X):
        dtype = rng.choice(["float64", "float32"])
        X = X.astype(dtype)
        return (X if rng.random() < 0.8 else X.tocsc()), f"sparse {dtype}"
    whole = (X == np.round(X)).all()
    names = ["float64"] * 5 + ["float32"] * 4
    names += ["float16", "bfloat16"] if size < 6e4 else []
    names += ["int64", "int32"] if whole and size < 2**31 else []
    names += ["uint8", "int16"] * 2 if whole and size < 256 and X.min() >= 0 else []
    names += ["bool"] * 4 if whole and size <= 1 and X.min() >= 0 else []
    dtype = rng.choice(names)
    X = X.astype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    order = rng.choice(["C", "C", "F"])
    return np.asarray(X, order=order), f"{dtype} {order}"


def as_float64(X):
    """The numbers that X holds, dense."""
    return (X.toarray() if scipy.sparse.issparse(X) else X).astype(np.float64)


def _classes(rng, m, n):
    most = max(min(50, m // 4, int(np.sqrt(2e6 / m / (n + 1)))), 3)
    return int(np.exp(rng.uniform(np.log(3), np.log(most + 1))))


def _labels(rng, X, k):
    """Labels of k classes that are all there, and what they were made by."""
    m, n = X.shape
    kind = rng.choice(["noise", "weak", "strong", "hidden", "separable", "flipped", "few positives"])
    outputs = 1 if k == 2 else k
    Z = _standardised(as_float64(X))
    if kind == "hidden":
        Z = _least_directions(Z)
    signal = Z @ (rng.standard_normal((Z.shape[1], outputs)) * (rng.random((Z.shape[1], 1)) < 0.5))
    signal = signal / np.sqrt(Z.shape[1]) + 1e-9 * rng.standard_normal(signal.shape)
    strength = {"noise": 0, "weak": 1, "hidden": 2, "strong": decades(rng, 0.5, 2)}.get(kind, 1e6)
    if k == 2 and kind == "few positives":
        likely = signal[:, 0] + rng.choice([0, 2]) * rng.standard_normal(m)
        y = np.zeros(m, int)
        y[np.argsort(-likely)[: rng.integers(1, 6)]] = 1
    elif k == 2:
        y = (strength * signal[:, 0] + rng.logistic(size=m) > 0).astype(int)
    else:
        y = (strength * signal + rng.gumbel(size=signal.shape)).argmax(axis=1)
    if kind == "flipped":
        flipped = rng.integers(0, m, rng.integers(1, max(m // 20, 2)))
        y[flipped] = (y[flipped] + 1) % k
    y[rng.permutation(m)[:k]] = np.arange(k)
    kind = kind if k == 2 else f"{kind}, {k} classes"
    return y, kind


def _standardised(X):
    spread = X.std(axis=0)
    return (X - X.mean(axis=0)) / np.where(spread > 1e-12 * abs(X).max(axis=0), spread, 1)


def _least_directions(Z):
    """What the columns know only by their differences: the last singular vectors."""
    U, values, _ = np.linalg.svd(Z, full_matrices=False)
    rank = max(int((values > 1e-13 * values[0]).sum()), 1)
    return U[:, max(rank - 2, 0) : rank] * np.sqrt(len(Z))


def _weights(rng, y):
    """sample_weight, class_weight and what they are; every class keeps some weight."""
    m = len(y)
    kind = rng.choice(
        ["", "twelve decades", "whole", "balanced", "one heavy row", "by class"], p=[0.6] + [0.08] * 5
    )
    s, by_class = None, None
    if kind == "twelve decades":
        s = decades(rng, -12, 0, m) * decades(rng, -3, 3)
    elif kind == "whole":
        s = rng.poisson(rng.uniform(0.5, 3), m).astype(rng.choice([np.int64, np.float64]))
        s[np.unique(y, return_index=True)[1]] += 1
    elif kind == "one heavy row":
        s = np.ones(m)
        s[rng.integers(m)] = decades(rng, 2, 8)
    elif kind == "balanced":
        by_class = "balanced"
    elif kind == "by class":
        by_class = {0: decades(rng, -4, 4), 1: 1.0}
    return s, by_class, f"weights {kind}; " if kind else ""


def _penalty(rng):
    C = rng.choice([1.0, decades(rng, -4, 6), decades(rng, -9, 12), np.inf], p=[0.2, 0.5, 0.05, 0.25])
    l1_ratio = rng.choice([0.0, 1.0, rng.choice([0.5, 0.01, 0.99])], p=[0.65, 0.2, 0.15])
    return {"C": float(C), "l1_ratio": float(l1_ratio) if C < np.inf else 0.0}


def _fits(rng, X, k, penalty):
    """The default as it is, every solver that can, and now and then one that seldom gets there."""
    solvers = list(PROXIMAL if penalty["l1_ratio"] > 0 else SMOOTH)
    rare = "fista" if penalty["l1_ratio"] > 0 else str(rng.choice(["gd", "sgd"]))
    if penalty["C"] == np.inf or X.shape[0] * (1 if k == 2 else k) > ROW_SPACE_UP_TO:
        solvers = [name for name in solvers if name != "row-space"]
    if rng.random() < 0.2:
        solvers.append(rare)
    compiled = np.dtype(X.dtype) in (np.float64, np.float32)
    yield {"solver": "auto", "tol": 1e-8, "backend": "numpy"}
    for solver in solvers:
        backend = "numba" if compiled and rng.random() < 0.3 else "numpy"
        fit = {"solver": solver, "tol": float(rng.choice(TOLERANCES)), "backend": backend}
        special = rng.choice(["", "max_passes", "from_C"], p=[0.85, 0.05, 0.1])
        if special == "max_passes":
            fit["max_passes"] = int(rng.integers(2, 12))
        elif special == "from_C":
            fit["from_C"] = float(decades(rng, -4, 8))
        yield fit
