"""Solvers: textbook code that asks questions (questions.py); one file per method.

`SOLVERS` maps a name to a settings class; an instance is called with a `Start` and runs as a generator. The
estimator's `solver=` takes a name or an instance: `LogisticRegression(solver=solvers.gd(step=0.1,
momentum=0.9))`.

A settings class may say more of itself: `for_l1`, whether it knows what to do with an L1 penalty;
`for_shape`, a constructor from the shape of the data; `patience`, how many accepted points in a row may bring
nothing before it is called noise.
"""

from .auto import choose_solver
from .gd import gd
from .lbfgs import lbfgs
from .newton import newton_cg, newton_cholesky
from .proximal import fista, prox_newton
from .row_space import row_space
from .sgd import sgd
from .subsampled import newton_subsampled

__all__ = [
    "SOLVERS",
    "choose_solver",
    "fista",
    "gd",
    "lbfgs",
    "newton_cg",
    "newton_cholesky",
    "newton_subsampled",
    "prox_newton",
    "resolve_solver",
    "row_space",
    "sgd",
]

SOLVERS = {
    "gd": gd,
    "lbfgs": lbfgs,
    "newton-cholesky": newton_cholesky,
    "newton-cg": newton_cg,
    "newton-subsampled": newton_subsampled,
    "row-space": row_space,
    "prox-newton": prox_newton,
    "fista": fista,
    "sgd": sgd,
}


def resolve_solver(solver, n_features, n_rows=0, nbytes=0, penalised=True, n_outputs=1, l1=False):
    """The solver that a user's word means.

    Returns
    -------
    solver : callable Start -> generator
    name : str
    reason : str

    Raises
    ------
    ValueError
        An unknown name, or one that knows no L1 penalty where there is one; the message lists the known ones.
    """
    if isinstance(solver, str) and solver == "auto":
        name, reason = choose_solver(n_features, n_rows, nbytes, penalised, n_outputs, l1)
        return _settings(name, n_features, n_rows, n_outputs), name, reason
    for name, settings in SOLVERS.items():
        if isinstance(solver, settings):
            _check_l1(name, l1)
            return solver, name, "asked for"
    if not isinstance(solver, str) or solver not in SOLVERS:
        raise ValueError(
            f"`solver` is {solver!r}; expected 'auto', one of {', '.join(map(repr, SOLVERS))}, or settings such as "
            "logreg_accel.solvers.gd(step=0.1)."
        )
    _check_l1(solver, l1)
    return _settings(solver, n_features, n_rows, n_outputs), solver, "asked for"


def _check_l1(name, l1):
    if l1 and not getattr(SOLVERS[name], "for_l1", False):
        able = sorted(other for other, settings in SOLVERS.items() if getattr(settings, "for_l1", False))
        raise ValueError(
            f"`solver` is {name!r}, which knows no L1 penalty (`l1_ratio` above 0); expected 'auto' or one of "
            f"{', '.join(map(repr, able))}."
        )


def _settings(name, n_features, n_rows, n_outputs):
    """The default settings; where a method has some that depend on the data's shape, those."""
    for_shape = getattr(SOLVERS[name], "for_shape", None)
    return for_shape(n_rows, n_features, n_outputs) if for_shape else SOLVERS[name]()
