"""Who races, and at which ladder of settings.

Peers get what suits them best: the layout and the solver that measured fastest, no limit on iterations that
would stop them early, and a second ladder in float64 where float32 does not take them to the tightest target.
"""

import importlib.util
from collections.abc import Callable
from typing import NamedTuple

from . import calls

_TOLS = [10.0**-k for k in (2, 4, 6, 8, 10)]


class Contestant(NamedTuple):
    """fit(X, y, C, threads, **setting) -> Fitted, for every setting of `ladder(m, n)`, from loose to tight.

    does : what it can do of what cases need; with "l1", `fit` takes an l1_ratio too.
    module, package : what must be importable, and what installs it.
    dtypes : storages of X to try, in this order.
    order : layout of X that it reads fastest.
    """

    fit: Callable
    ladder: Callable
    module: str
    package: str
    dtypes: tuple = ("float32", "float64")
    order: str = "C"
    note: str = ""
    does: tuple = ("dense",)


def missing(name):
    """Why a contestant cannot race here, or None."""
    contestant = CONTESTANTS[name]
    if importlib.util.find_spec(contestant.module) is None:
        return f"{contestant.package} is not installed"
    return None


def can(name, needs):
    """Whether a contestant can do what a case needs."""
    does = CONTESTANTS[name].does
    return set(needs) <= set(does) and ("l1" in needs or "l1 alone" not in does)


def _by_tol(tols=_TOLS):
    return lambda m, n: [{"tol": tol} for tol in tols]


def _penalised_intercept(*pairs):
    return lambda m, n: [{"tol": tol, "scaling": scaling} for tol, scaling in pairs]


_SNAP = _penalised_intercept(
    (1e-2, 1.0),
    (1e-3, 1.0),
    (1e-4, 3.0),
    (1e-6, 3.0),
    (1e-6, 10.0),
    (1e-8, 10.0),
    (1e-8, 30.0),
    (1e-9, 100.0),
)
_OURS = _by_tol([10.0**-k for k in range(3, 11)])

CONTESTANTS = {
    "ours": Contestant(
        calls.ours("auto"),
        _OURS,
        "logreg_accel",
        "logreg-accel",
        note='solver="auto"',
        does=("dense", "sparse", "classes", "l1"),
    ),
    "ours newton-subsampled": Contestant(
        calls.ours("newton-subsampled"), _OURS, "logreg_accel", "logreg-accel"
    ),
    "ours newton-cholesky": Contestant(calls.ours("newton-cholesky"), _OURS, "logreg_accel", "logreg-accel"),
    "ours lbfgs": Contestant(calls.ours("lbfgs"), _OURS, "logreg_accel", "logreg-accel"),
    "scikit-learn lbfgs": Contestant(
        calls.scikit_learn("lbfgs"), _by_tol(), "sklearn", "scikit-learn", does=("dense", "sparse", "classes")
    ),
    "scikit-learn newton-cholesky": Contestant(
        calls.scikit_learn("newton-cholesky"),
        _by_tol(),
        "sklearn",
        "scikit-learn",
        does=("dense", "sparse", "classes"),
    ),
    "scikit-learn newton-cg": Contestant(
        calls.scikit_learn("newton-cg"),
        _by_tol(),
        "sklearn",
        "scikit-learn",
        does=("dense", "sparse", "classes"),
    ),
    "scikit-learn saga": Contestant(
        calls.scikit_learn("saga"),
        _by_tol([10.0**-k for k in (1, 2, 3, 4, 6, 8)]),
        "sklearn",
        "scikit-learn",
        does=("dense", "sparse", "l1"),
    ),
    "scikit-learn-intelex lbfgs": Contestant(
        calls.scikit_learn_intelex, _by_tol(), "sklearnex", "scikit-learn-intelex", does=("dense", "classes")
    ),
    "liblinear": Contestant(
        calls.liblinear,
        _penalised_intercept(
            (1e-2, 10.0),
            (1e-4, 10.0),
            (1e-6, 10.0),
            (1e-6, 100.0),
            (1e-8, 100.0),
            (1e-8, 1000.0),
            (1e-10, 1000.0),
        ),
        "sklearn",
        "scikit-learn",
        dtypes=("float64",),
        note="through scikit-learn; float64 only, one thread",
        does=("dense", "sparse", "l1"),
    ),
    "Snap ML": Contestant(
        calls.snap_ml, _SNAP, "snapml", "snapml", dtypes=("float32",), note="dual", does=("dense", "sparse")
    ),
    "Snap ML one thread": Contestant(
        lambda X, y, C, threads, **setting: calls.snap_ml(X, y, C, 1, **setting),
        _SNAP,
        "snapml",
        "snapml",
        dtypes=("float32",),
        note="at times faster than two",
        does=("dense", "sparse"),
    ),
    "glum": Contestant(
        calls.glum,
        _by_tol(),
        "glum",
        "glum",
        order="F",
        note="irls-ls, irls-cd for L1; X by columns, which it reads faster",
        does=("dense", "sparse", "l1"),
    ),
    "skglm": Contestant(
        calls.skglm,
        _by_tol([10.0**-k for k in (2, 3, 4, 5, 6, 8)]),
        "skglm",
        "skglm",
        order="F",
        note="L1 alone",
        does=("dense", "sparse", "l1", "l1 alone"),
    ),
    "PyTorch L-BFGS": Contestant(
        calls.torch_lbfgs,
        _by_tol(),
        "torch",
        "torch",
        note="strong_wolfe, two products",
        does=("dense", "classes"),
    ),
}
