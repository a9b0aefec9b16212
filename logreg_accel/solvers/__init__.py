"""Solvers: textbook code that asks questions (questions.py), with one file per method.

`SOLVERS` maps a name to a settings class, whose instances are called with a `Start` and run as generators.
The estimator's `solver=` takes a name or an instance:
`LogisticRegression(solver=solvers.gd(step=0.1, momentum=0.9))`.

A settings class may have optional attributes: `for_l1`, whether it can handle an L1 penalty; `for_shape`, a
constructor from the shape of the data; `bytes_beside`, a method (Shape) -> what it needs beside X; and
`patience`, the number of accepted points in a row that may bring no improvement before the run is considered
to have reached the noise floor.
"""

import functools
import math

from .auto import choose_solver, few, products_alone
from .dear import Whole, sparing_reads
from .dual import dual
from .gd import gd
from .lbfgs import lbfgs
from .memory import Shape, fits, has_room, shortage
from .newton import newton_cg, newton_cholesky
from .projected import projected_newton
from .proximal import fista, prox_newton
from .row_space import row_space
from .sgd import sgd
from .subsampled import newton_subsampled
from .working_set import working_set

__all__ = [
    "SOLVERS",
    "Whole",
    "choose_solver",
    "dual",
    "few",
    "fista",
    "gd",
    "lbfgs",
    "least",
    "newton_cg",
    "newton_cholesky",
    "newton_subsampled",
    "projected_newton",
    "prox_newton",
    "resolve_solver",
    "row_space",
    "sgd",
    "sparing",
    "sparing_reads",
    "working_set",
]

SOLVERS = {
    "gd": gd,
    "lbfgs": lbfgs,
    "newton-cholesky": newton_cholesky,
    "newton-cg": newton_cg,
    "newton-subsampled": newton_subsampled,
    "row-space": row_space,
    "dual": dual,
    "projected-newton": projected_newton,
    "prox-newton": prox_newton,
    "fista": fista,
    "working-set": working_set,
    "sgd": sgd,
}


def resolve_solver(
    solver,
    n_features,
    n_rows=0,
    nbytes=0,
    penalised=True,
    n_outputs=1,
    l1=False,
    real=8,
    available=lambda: None,
    strength=lambda: math.inf,
    seen=lambda: None,
    gathers=False,
    by_levels=lambda: math.inf,
):
    """Return the solver that a user's `solver=` stands for.

    Parameters
    ----------
    solver : str or settings
    n_features, n_rows, nbytes, n_outputs : int
        Shape and size of X, and the number of margins of a row.
    penalised, l1 : bool
        Whether there is a penalty, and whether it has an L1 part.
    real : int
        Bytes of a margin.
    available : function () -> int or None
        Bytes available beside X; None if unknown.
    strength : function () -> float
        C times the mean of ‖x‖²; inf where dual coordinate ascent is not offered.
    seen : function () -> costs.Seen or None
        Facts about X from some rows.
    gathers : bool
        Whether some columns of X can be copied into memory.
    by_levels : function () -> float
        The number of products with the Hessian that take as long as a Newton step that eliminates the levels
        of a category; inf where that is not possible.

    Returns
    -------
    solver : callable Start -> generator
    name : str
    reason : str

    Raises
    ------
    ValueError
        The name is unknown, or there is an L1 penalty that the solver cannot handle; the message lists the
        alternatives.
    MemoryError
        The memory that the solver needs beside X is not available; the message says how much it needs, and
        which solver needs less.
    """
    shape, reason = Shape(n_rows, n_features, n_outputs, nbytes, real), "asked for"
    available = functools.cache(available)  # asking the system means reading files
    if isinstance(solver, str) and solver == "auto":
        looks = strength, seen
        if not has_room(shape.vectors(0), available):  # no solver fits, and a look at X takes memory
            looks = (lambda: math.inf), (lambda: None)
        solver, reason = choose_solver(
            n_features, n_rows, nbytes, penalised, n_outputs, l1, *looks, gathers, by_levels
        )
        if not fits(_settings(solver, shape), shape, available):
            reason = shortage(solver, _settings(solver, shape), shape, available)
            solver = sparing(shape, l1)
    made, name = _made(solver, shape)
    _check_l1(name, l1)
    if not fits(made, shape, available):
        least = "fista" if l1 else "lbfgs"
        instead = "pass fewer rows or columns"
        if name != least and fits(_settings(least, shape), shape, available):
            instead = f"use solver={least!r}"
        raise MemoryError(f"{shortage(name, made, shape, available)}; {instead}, or free some.")
    return made, name, reason


def sparing(shape, l1=False):
    """The solver with the smallest memory that "auto" may choose: it forms no Hessian."""
    if l1:
        return fista()
    by_products = products_alone(shape.n_features, shape.n_rows, shape.n_outputs) == "newton-cg"
    return newton_cg(factored_up_to=0) if by_products else lbfgs()


def least(asked):
    """The settings of a user's `solver=` for which a Growing shape tells the least that a fit will need.

    They are those of fista, which needs no more than any other, for all but the solvers that form a Hessian
    however many parameters there are: others may drop theirs when more columns come.
    """
    made = SOLVERS.get(asked, fista)() if isinstance(asked, str) else asked
    says = hasattr(made, "bytes_beside")
    return (
        fista() if says and not isinstance(made, newton_cholesky | projected_newton | prox_newton) else made
    )


def _made(solver, shape):
    """The settings that a name stands for, or those given, and their name."""
    for name, settings in SOLVERS.items():
        if isinstance(solver, settings):
            return solver, name
    if not isinstance(solver, str) or solver not in SOLVERS:
        theirs = solver in ("saga", "sag", "liblinear")
        hint = " 'auto' chooses what suits the data and the penalty." if theirs else ""
        raise ValueError(
            f"`solver` is {solver!r}; expected 'auto', one of {', '.join(map(repr, SOLVERS))}, or settings "
            f"such as logreg_accel.solvers.gd(step=0.1).{hint}"
        )
    return _settings(solver, shape), solver


def _check_l1(name, l1):
    if l1 and not getattr(SOLVERS[name], "for_l1", False):
        able = sorted(other for other, settings in SOLVERS.items() if getattr(settings, "for_l1", False))
        raise ValueError(
            f"`solver` is {name!r}, which cannot handle an L1 penalty (`l1_ratio` above 0); expected "
            f"'auto' or one of {', '.join(map(repr, able))}."
        )


def _settings(name, shape):
    """Return the default settings of a method, which may depend on the shape of the data."""
    for_shape = getattr(SOLVERS[name], "for_shape", None)
    return for_shape(*shape[:3]) if for_shape else SOLVERS[name]()
