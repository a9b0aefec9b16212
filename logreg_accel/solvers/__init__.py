"""Solvers: textbook code that asks questions (questions.py); one file per method.

`SOLVERS` maps a name to a settings class; an instance is called with a start and runs as a generator. The estimator's
`solver=` takes a name or an instance: `LogisticRegression(solver=solvers.gd(step=0.1, momentum=0.9))`.
"""

from .gd import gd
from .lbfgs import lbfgs
from .newton import newton_cg, newton_cholesky
from .proximal import fista, prox_newton
from .row_space import row_space
from .sgd import sgd
from .subsampled import newton_subsampled

__all__ = ["SOLVERS", "choose_solver", "fista", "gd", "lbfgs", "newton_cg", "newton_cholesky", "newton_subsampled", "prox_newton",
           "resolve_solver", "row_space", "sgd"]

SOLVERS = {"gd": gd, "lbfgs": lbfgs, "newton-cholesky": newton_cholesky, "newton-cg": newton_cg,
           "newton-subsampled": newton_subsampled, "row-space": row_space, "prox-newton": prox_newton,
           "fista": fista, "sgd": sgd}

FOR_L1 = {"prox-newton", "fista"}
"""Solvers that know what to do with an L1 penalty."""

# The rule of "auto" was read off bench/auto.py (results/auto.json); two cores, float32, seconds to 1e-6 at C from 0.01 to 100.
# A sample pays where it is a small part of the rows: 20,000 x 300 take 0.02 to 0.08 s, newton-cg 0.04 to 0.2; with 28 rows a
# feature (20,000 x 700) it is 0.11 to 0.24 to newton-cg's 0.04 to 0.34. Below 0.5 MiB newton-cholesky's last full step makes
# results agree to rounding; above 1000 features the Hessian of a sample takes longer than the reads it saves, but not with many
# classes: 60,000 x 784 of ten took 10 s, newton-cg 53 s, before softmax had compiled loops (3 s now; up to where one block of
# their Hessian is 200 MB).
SAMPLE_FROM_ROWS, SAMPLE_FROM_BYTES, SAMPLE_UP_TO_FEATURES, SAMPLE_UP_TO_FEATURES_OF_CLASSES = 50, 1 << 19, 1000, 5000

# 3000 x 100 take 5 to 8 ms, newton-cg 3 to 14; 3000 x 400 27 to 41, newton-cg 4 to 27.
NEWTON_UP_TO_FEATURES = 100

# 100 x 10,000 take 8 to 12 ms at any C, lbfgs 2 to 48; 200 rows 35, lbfgs 3 to 34, but 260 on real data (arcene); 400 rows 54 to
# 99, lbfgs 5 to 60.
ROW_SPACE_UP_TO_ROWS, ROW_SPACE_FROM_WIDTH = 256, 10

# 1000 x 4000 take 10 to 44 ms, newton-cg 16 to 136; 2000 x 900 25 to 72, newton-cg 5 to 98.
LBFGS_FROM_WIDTH = 2

# The model of prox-newton is a matrix of so many rows and columns.
PROX_NEWTON_UP_TO_SIZE = 2000


def choose_solver(n_features, n_rows=0, nbytes=0, penalised=True, n_outputs=1, l1=False):
    """The name that "auto" stands for, and why."""
    size = n_features * n_outputs
    if l1:
        return ("prox-newton" if size <= PROX_NEWTON_UP_TO_SIZE else "fista"), f"{size} weights under an L1 penalty"
    what = f"{n_features} features" + (f" x {n_outputs} classes" if n_outputs > 1 else "")
    most = SAMPLE_UP_TO_FEATURES if n_outputs == 1 else SAMPLE_UP_TO_FEATURES_OF_CLASSES
    if n_rows >= SAMPLE_FROM_ROWS * n_features and n_features <= most and nbytes >= SAMPLE_FROM_BYTES:
        return "newton-subsampled", f"{n_rows / n_features:.0f} rows a feature: a sample shows the curvature"
    if size <= NEWTON_UP_TO_FEATURES:
        return "newton-cholesky", f"{what}: the Hessian is cheap to factor"
    if penalised and n_rows * n_outputs <= ROW_SPACE_UP_TO_ROWS and n_features >= ROW_SPACE_FROM_WIDTH * n_rows:
        return "row-space", f"{n_rows} rows: as many unknowns as rows are enough"
    if n_features >= LBFGS_FROM_WIDTH * n_rows:
        return "lbfgs", f"{what}, {n_rows} rows: no Hessian is worth its price"
    return "newton-cg", f"{what}: the Hessian is dear to factor, its products are not"


def resolve_solver(solver, n_features, n_rows=0, nbytes=0, penalised=True, n_outputs=1, l1=False):
    """The solver that a user's word means.

    Returns
    -------
    solver : callable (w, seed) -> generator
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
    if l1 and name not in FOR_L1:
        raise ValueError(f"`solver` is {name!r}, which knows no L1 penalty (`l1_ratio` above 0); expected 'auto' or one of "
                         f"{', '.join(map(repr, sorted(FOR_L1)))}.")


def _settings(name, n_features, n_rows, n_outputs):
    """The default settings; where a method has some that depend on the data's shape, those."""
    for_shape = getattr(SOLVERS[name], "for_shape", None)
    return for_shape(n_rows, n_features, n_outputs) if for_shape else SOLVERS[name]()
