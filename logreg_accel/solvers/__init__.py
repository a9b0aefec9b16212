"""Solvers: textbook code that asks questions (questions.py); one file per method.

`SOLVERS` maps a name to a settings class; an instance is called with a start and runs as a generator. The estimator's
`solver=` takes a name or an instance: `LogisticRegression(solver=solvers.gd(step=0.1, momentum=0.9))`.
"""

from .gd import gd
from .lbfgs import lbfgs
from .newton import newton_cg, newton_cholesky

__all__ = ["SOLVERS", "choose_solver", "gd", "lbfgs", "newton_cg", "newton_cholesky", "resolve_solver"]

SOLVERS = {"gd": gd, "lbfgs": lbfgs, "newton-cholesky": newton_cholesky, "newton-cg": newton_cg}

# Up to here forming and factoring the Hessian costs less than the hundreds of reads that the others take.
NEWTON_UP_TO_FEATURES = 500


def choose_solver(n_features):
    """The name that "auto" stands for, and why."""
    if n_features <= NEWTON_UP_TO_FEATURES:
        return "newton-cholesky", f"{n_features} features: the Hessian is cheap to factor"
    return "lbfgs", f"{n_features} features: the Hessian is dear to factor"


def resolve_solver(solver, n_features):
    """The solver that a user's word means.

    Returns
    -------
    solver : callable (w, seed) -> generator
    name : str
    reason : str

    Raises
    ------
    ValueError
        An unknown name; the message lists the known ones.
    """
    if isinstance(solver, str) and solver == "auto":
        name, reason = choose_solver(n_features)
        return SOLVERS[name](), name, reason
    for name, settings in SOLVERS.items():
        if isinstance(solver, settings):
            return solver, name, "asked for"
    if not isinstance(solver, str) or solver not in SOLVERS:
        raise ValueError(
            f"`solver` is {solver!r}; expected 'auto', one of {', '.join(map(repr, SOLVERS))}, or settings such as "
            "logreg_accel.solvers.gd(step=0.1)."
        )
    return SOLVERS[solver](), solver, "asked for"
