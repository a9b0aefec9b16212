"""The part of `fit` before and after the driver: checks parameters, chooses backend and solver, warns."""

import contextlib
import math
import numbers
import sys
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils import check_random_state

from . import ascent, clock, driver, elimination, one_sided, options, small, streaming
from .backends import Choice, get_backend
from .data import compute_dtype, spread_of
from .data.sparse import conversion
from .history import HEADINGS, Solution, format_record
from .losses import loss_of
from .objective import Objective
from .penalty import Penalty, check_number, check_strength
from .solvers import costs, resolve_solver, sgd


class Fitted(NamedTuple):
    """A Solution, and the solver and backend that made it."""

    solution: Solution
    backend: Choice
    solver: Choice
    scale: Any = None


class Progress(NamedTuple):
    """The callbacks of every step.

    callback : callable (Record, w) -> bool or None
        The user's callback.
    steps : callable w -> bool or None
        scikit-learn's callbacks.
    """

    callback: Any
    steps: Any


def check_parameters(model):
    """Raise ValueError for a parameter of the estimator that cannot be used."""
    check_strength(model.C, model.l1_ratio)
    check_number("tol", model.tol, "a number of at least 0", lambda v: 0 <= v < np.inf)
    check_number("max_iter", model.max_iter, "an integer of at least 1", lambda v: v >= 1, numbers.Integral)
    for name in ("max_passes", "max_seconds"):
        if getattr(model, name) is not None:
            check_number(name, getattr(model, name), "a positive number or None", lambda v: v > 0)
    if model.n_threads is not None:
        expected = "an integer of at least 1, or None"
        check_number("n_threads", model.n_threads, expected, lambda v: v >= 1, numbers.Integral)
    seed = model.random_state
    if not (seed is None or seed is np.random or isinstance(seed, np.random.RandomState)):
        expected = "an integer of at least 0, a RandomState or None"
        check_number("random_state", seed, expected, lambda v: v >= 0, numbers.Integral)
    if not isinstance(model.verbose, bool | np.bool_):
        check_number("verbose", model.verbose, "an integer of at least 0", lambda v: v >= 0, numbers.Integral)
    for name in ("fit_intercept", "standardize", "warm_start"):
        if not isinstance(getattr(model, name), bool | np.bool_):
            raise ValueError(f"`{name}` is {getattr(model, name)!r}; expected True or False.")
    if not (model.callback is None or callable(model.callback)):
        raise ValueError(f"`callback` is {model.callback!r}; expected a callable (record, w) or None.")


def solve(model, X, labelled, total_weight, start, progress, continued=None, checkpoint=None):
    """Minimise the objective of an estimator's parameters.

    Parameters
    ----------
    model : estimator
        Its parameters were checked.
    X : the user's input, for messages
    labelled : Labelled
    total_weight : float
        Σ s, to which the strength of the penalty is relative.
    start : ndarray (size,)
    progress : Progress
    continued : function solver -> solver, or None
        Makes the solver of a run that continues an earlier one.
    checkpoint : path-like or None

    Returns
    -------
    Fitted
    """
    matrix, loss = labelled.block.X, loss_of(len(labelled.classes))
    (m, n), streamed = matrix.shape, streaming.is_streamed(labelled)
    where = {"n_rows": m, "n_outputs": loss.n_outputs, "work": matrix.work, "upload": not streamed}
    backend, chosen = get_backend(model.backend, matrix.nbytes, matrix.on_device, model.n_threads, **where)
    penalised, factors = model.C < math.inf, options.penalty_factors(model, n)
    plain = not penalised or (factors is None and not model.standardize)
    solver, name, reason = resolve_solver(
        options.solver_asked(model),
        n,
        m,
        matrix.nbytes,
        penalised and plain and not streamed,  # solvers that need a penalty need rows in memory
        loss.n_outputs,
        l1=model.l1_ratio > 0 and penalised,
        real=compute_dtype(matrix.dtype).itemsize,
        available=lambda: None if streamed else backend.free_bytes(matrix),
        strength=lambda: ascent.strength(model.C, labelled, backend, loss),
        seen=lambda: None if streamed or not plain else seen_of(model.C, labelled),
        gathers=not (streamed or backend.on_device or matrix.on_device),
        by_levels=lambda: elimination.foreseen(matrix, backend, loss.n_outputs),
    )
    asked, l1 = options.solver_asked(model), model.l1_ratio > 0 and penalised
    solver, name, reason = streaming.with_room(labelled, (solver, name, reason), loss.n_outputs, asked, l1)
    options.check_solver(solver, plain)
    if model.verbose:
        say(f"{m} x {n} {matrix.dtype}; backend {chosen} ({chosen.reason}); solver {name} ({reason})")
    began = clock.now()
    if chosen == "numpy" and _is_small(model, labelled, name, start, continued, checkpoint):
        found = _solve_small(
            model, labelled, loss, total_weight, progress, [conversion(X, matrix.stored), HEADINGS]
        )
        if found is not None:
            return Fitted(found, chosen, Choice(name, reason))
    spent = clock.now() - began
    streaming.keep_blocks(labelled, streaming.check_room(labelled, solver, loss.n_outputs))
    with backend.limit_threads():
        penalty = Penalty.of_strength(model.C, total_weight, model.l1_ratio)
        # the state of sgd continues from call to call, and the columns far from zero differ between calls
        centring = None if isinstance(solver, sgd) else bool(model.fit_intercept)
        rows = streaming.rows_of(labelled, backend, centring)
        rows, solver = options.between_bounds(model, rows, solver, loss.n_outputs)
        if model.verbose:
            for line in filter(None, (conversion(X, matrix.stored), *backend.notes, HEADINGS)):
                say(line)
        scale = rows.deviations(bool(model.fit_intercept)) if model.standardize else None
        penalty = options.by_weight(penalty, factors, scale, n, loss.n_outputs, model.fit_intercept)
        objective = Objective(rows, loss, penalty, model.fit_intercept)
        with streaming.checkpointed(checkpoint, rows, model, labelled, (chosen, name)):
            run = one_sided.run if one_sided.possible(solver, objective) else driver.run
            solution = run(
                continued(solver) if continued else solver,
                objective,
                objective.at.centred(start),
                tol=model.tol,
                max_iter=model.max_iter,
                max_passes=model.max_passes,
                max_seconds=model.max_seconds and max(model.max_seconds - spent, 0.0),
                callback=_callback(model.verbose, progress, objective.at.original),
                seed=seed_of(model.random_state),
            )
    solution = solution._replace(w=objective.at.original(solution.w))
    return Fitted(solution, chosen, Choice(name, reason), scale)


def _is_small(model, labelled, name, start, continued, checkpoint):
    """Whether `small` applies: few numbers, only an L2 penalty, no warm start and no checkpoint."""
    if name != "newton-cholesky" or streaming.is_streamed(labelled) or model.C == math.inf:
        return False
    asked = model.bounds, model.penalty_factor, continued, checkpoint
    if any(one is not None for one in asked) or model.l1_ratio or model.standardize:
        return False
    return not start.any() and small.suits(labelled.block, loss_of(len(labelled.classes)).n_outputs)


def _solve_small(model, labelled, loss, total_weight, progress, headings):
    """The Solution of `small`, or None."""
    budget = small.Budget(clock.now(), model.max_passes or math.inf, model.max_seconds or math.inf)
    return small.solution(
        labelled.block,
        loss,
        Penalty.of_strength(model.C, total_weight),
        bool(model.fit_intercept),
        _dtype_of_weights(model, labelled),
        model.tol,
        model.max_iter,
        budget,
        _callback(model.verbose, progress, lambda w: w, headings),
    )


def seen_of(C, labelled):
    """Facts about X from some rows, for the choice of a solver; None if X is not an array on the host."""
    X = labelled.block.X
    if X.on_device or 0 in X.shape:
        return None
    spread, apart, layout, uneven = spread_of(X)
    if not 0 < spread < math.inf:
        return None
    return costs.Seen(C * labelled.total_weight * spread, apart, X.entries, layout, uneven)


def by_batches(estimator):
    """Whether the solver makes epochs that a later call can continue."""
    if estimator.solver == "sgd" or isinstance(estimator.solver, sgd):
        return True
    raise AttributeError(
        "`partial_fit` needs solver='sgd' or logreg_accel.solvers.sgd(...); "
        f"`solver` is {estimator.solver!r}."
    )


def start_of(model, n_features, n_classes):
    """The starting point of a fit: zero, or with `warm_start` the weights of the last fit."""
    n_outputs = loss_of(n_classes).n_outputs
    rows = n_features + bool(model.fit_intercept)
    if not (model.warm_start and hasattr(model, "coef_")):
        return np.zeros(rows * n_outputs)
    if model.coef_.shape[1] != n_features:
        raise ValueError(
            f"`warm_start=True` and the last fit had {model.coef_.shape[1]} features, this one {n_features}. "
            "Use warm_start=False or clone the estimator."
        )
    if model.coef_.shape[0] != n_outputs:
        raise ValueError(
            "`warm_start=True` and the last fit had another number of classes. "
            "Use warm_start=False or clone the estimator."
        )
    return _point_of(model, rows)


def state_of(model, n_features, first):
    """The state that `partial_fit` continues from: the last call, a `fit`, or zero in a first call."""
    rows = n_features + bool(model.fit_intercept)
    size = rows * loss_of(len(model.classes_)).n_outputs
    state = getattr(model, "_state", None)
    if state is not None and state.w.size != size:
        raise ValueError(
            f"`fit_intercept` is {model.fit_intercept}, and the earlier calls of partial_fit had "
            f"{not model.fit_intercept}. Set it back, or begin anew with `fit` or a clone of the model."
        )
    if state is not None:
        return state
    start = np.zeros(size) if first else _point_of(model, rows)
    return sgd.State(start, weight_seen=getattr(model, "_weight_fitted", 0.0))


def _point_of(model, rows):
    """coef_ and intercept_ as a point of the objective."""
    return np.vstack([model.coef_.T, model.intercept_[None]]).astype(np.float64)[:rows].ravel()


def coefficients(model, w, labelled):
    """The fitted attributes from a point of the objective."""
    dtype = _dtype_of_weights(model, labelled)
    n, k = labelled.block.X.shape[1], loss_of(len(labelled.classes)).n_outputs
    W = np.array(w).reshape(-1, k)
    if k > 1:  # of all solutions, which differ by a shift of all classes, the one whose mean is zero
        W[n:] -= W[n:].mean(axis=1, keepdims=True)
    # All digits of the intercept are kept: with columns far from zero it compensates what they add.
    intercept = W[n].copy() if model.fit_intercept else np.zeros(k)
    return {"coef_": W[:n].T.astype(dtype), "intercept_": intercept, "classes_": labelled.classes}


def _dtype_of_weights(model, labelled):
    stored = labelled.block.X.dtype
    short = stored.itemsize <= 4 and stored.kind not in "iub" and model.bounds is None
    return np.float32 if short else np.float64


def seed_of(random_state):
    """The seed that `random_state` stands for."""
    if isinstance(random_state, numbers.Integral):
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31 - 1))


def _callback(verbose, progress, original, headings=()):
    if not verbose and progress.steps is None and progress.callback is None:
        return None

    ahead = [line for line in headings if line]

    def tell(record, w):
        w = original(w)
        if verbose:
            while ahead:
                say(ahead.pop(0))
            say(format_record(record))
        stop = progress.callback is not None and progress.callback(record, w)
        return (progress.steps is not None and progress.steps(w)) or stop

    return tell


def say(line):
    """Print a message if `verbose` is set."""
    print(line, file=sys.stderr, flush=True)


@contextlib.contextmanager
def unchanged_where_refused(estimator):
    """A context in which an exception leaves the estimator unchanged."""
    before = vars(estimator).copy()
    try:
        yield
    except BaseException:  # Ctrl-C before there is any model, too
        vars(estimator).clear()
        vars(estimator).update(before)
        raise
