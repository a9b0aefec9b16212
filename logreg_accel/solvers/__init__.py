"""Solvers: textbook code that asks questions (questions.py); one file per method.

`SOLVERS` maps a name to a settings class; an instance is called with a start and runs as a generator. The estimator's
`solver=` takes a name or an instance: `LogisticRegression(solver=solvers.gd(step=0.1, momentum=0.9))`.
"""

from .gd import gd
from .lbfgs import lbfgs
from .newton import newton_cg, newton_cholesky
from .subsampled import newton_subsampled

__all__ = ["SOLVERS", "choose_solver", "gd", "lbfgs", "newton_cg", "newton_cholesky", "newton_subsampled", "resolve_solver"]

SOLVERS = {"gd": gd, "lbfgs": lbfgs, "newton-cholesky": newton_cholesky, "newton-cg": newton_cg,
           "newton-subsampled": newton_subsampled}

# Up to here forming and factoring the Hessian costs less than the hundreds of reads that the others take.
NEWTON_UP_TO_FEATURES = 500

# A sample pays where it is a small part of the rows: 11,055 x 68 (3 MB) take 9.6 ms instead of newton-cholesky's 14, 19,020 x 10
# (0.8 MB) 5.0 instead of 6.2. Below, newton-cholesky's last full step makes results agree to rounding.
SAMPLE_FROM_ROWS, SAMPLE_FROM_BYTES, SAMPLE_UP_TO_FEATURES = 100, 1 << 19, 1000


def choose_solver(n_features, n_rows=0, nbytes=0):
    """The name that "auto" stands for, and why."""
    tall = n_rows >= SAMPLE_FROM_ROWS * n_features and n_features <= SAMPLE_UP_TO_FEATURES
    if tall and nbytes >= SAMPLE_FROM_BYTES:
        return "newton-subsampled", f"{n_rows / n_features:.0f} rows a feature: a sample shows the curvature"
    if n_features <= NEWTON_UP_TO_FEATURES:
        return "newton-cholesky", f"{n_features} features: the Hessian is cheap to factor"
    return "lbfgs", f"{n_features} features: the Hessian is dear to factor"


def resolve_solver(solver, n_features, n_rows=0, nbytes=0):
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
        name, reason = choose_solver(n_features, n_rows, nbytes)
        return _settings(name, n_features, n_rows), name, reason
    for name, settings in SOLVERS.items():
        if isinstance(solver, settings):
            return solver, name, "asked for"
    if not isinstance(solver, str) or solver not in SOLVERS:
        raise ValueError(
            f"`solver` is {solver!r}; expected 'auto', one of {', '.join(map(repr, SOLVERS))}, or settings such as "
            "logreg_accel.solvers.gd(step=0.1)."
        )
    return _settings(solver, n_features, n_rows), solver, "asked for"


def _settings(name, n_features, n_rows):
    """The default settings; where a method has some that depend on the data's shape, those."""
    for_shape = getattr(SOLVERS[name], "for_shape", None)
    return for_shape(n_rows, n_features) if for_shape else SOLVERS[name]()
