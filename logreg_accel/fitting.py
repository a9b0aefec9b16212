"""The part of `fit` before and after the driver: chooses backend and solver, makes the objective."""

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
from .penalty import Penalty
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


@np.errstate(all="ignore")  # a start may be of any size
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
    loss, factors = loss_of(len(labelled.classes)), options.penalty_factors(model, labelled.block.X.shape[1])
    backend, chosen, solver, choice = _chosen(model, labelled, loss)
    if model.verbose:
        matrix, of_backend = labelled.block.X, f"backend {chosen} ({chosen.reason})"
        shape = " x ".join(map(str, matrix.shape))
        say(f"{shape} {matrix.dtype}; {of_backend}; solver {choice} ({choice.reason})")
    began, scale, found = clock.now(), None, None
    if chosen == "numpy" and _is_small(model, labelled, choice, start, continued, checkpoint):
        found = _solve_small(model, X, labelled, loss, total_weight, progress)
    if found is None:
        spent = clock.now() - began
        streaming.keep_blocks(labelled, streaming.check_room(labelled, solver, loss.n_outputs))
        with backend.limit_threads():
            rows, solver = _rows_of(model, labelled, backend, solver, loss.n_outputs)
            if model.verbose:
                for line in filter(None, (_conversion(X, labelled), *backend.notes, HEADINGS)):
                    say(line)
            objective, scale = _objective(model, rows, loss, total_weight, factors)
            run = one_sided.run if one_sided.possible(solver, objective) else driver.run
            solver, start = continued(solver) if continued else solver, objective.at.centred(start)
            with streaming.checkpointed(checkpoint, rows, model, labelled, (chosen, choice)):
                found = run(solver, objective, start, **_limits(model, spent, objective, progress))
            found = found._replace(w=objective.at.original(found.w))
    return Fitted(found, chosen, choice, scale)


def _chosen(model, labelled, loss):
    """The backend and its name, the solver and its name; the names with the reasons."""
    matrix, streamed = labelled.block.X, streaming.is_streamed(labelled)
    m, n = matrix.shape
    where = {"n_rows": m, "n_outputs": loss.n_outputs, "work": matrix.work, "upload": not streamed}
    backend, chosen = get_backend(model.backend, matrix.nbytes, matrix.on_device, model.n_threads, **where)
    penalised = model.C < math.inf
    asked, l1, plain = options.solver_asked(model), model.l1_ratio > 0 and penalised, _is_plain(model)
    solver, name, reason = resolve_solver(
        asked,
        n,
        m,
        matrix.nbytes,
        penalised and plain and not streamed,  # solvers that need a penalty need rows in memory
        loss.n_outputs,
        l1=l1,
        real=compute_dtype(matrix.dtype).itemsize,
        available=lambda: None if streamed else backend.free_bytes(matrix),
        strength=lambda: ascent.strength(model.C, labelled, backend, loss),
        seen=lambda: None if streamed or not plain else seen_of(model.C, labelled),
        gathers=not (streamed or backend.on_device or matrix.on_device),
        by_levels=lambda: elimination.foreseen(matrix, backend, loss.n_outputs),
    )
    solver, name, reason = streaming.with_room(labelled, (solver, name, reason), loss.n_outputs, asked, l1)
    options.check_solver(solver, plain)
    return backend, chosen, solver, Choice(name, reason)


def _is_plain(model):
    """Whether the penalty, if there is one, is the same for all columns."""
    return model.C == math.inf or (model.penalty_factor is None and not model.standardize)


def _rows_of(model, labelled, backend, solver, n_outputs):
    """The rows of a fit, and the solver, with the box of `bounds`."""
    # the state of sgd continues from call to call, and the columns far from zero differ between calls
    centring = None if isinstance(solver, sgd) else bool(model.fit_intercept)
    rows = streaming.rows_of(labelled, backend, centring)
    return options.between_bounds(model, rows, solver, n_outputs)


def _objective(model, rows, loss, total_weight, factors):
    """The objective, and the deviations that divide the columns with `standardize`, otherwise None."""
    scale = rows.deviations(bool(model.fit_intercept)) if model.standardize else None
    sizes = rows.n_features, loss.n_outputs, model.fit_intercept
    penalty = Penalty.of_strength(model.C, total_weight, model.l1_ratio)
    penalty = options.by_weight(penalty, factors, scale, *sizes)
    return Objective(rows, loss, penalty, model.fit_intercept), scale


def _limits(model, spent, objective, progress):
    """When the driver ends, and whom it tells; `spent` seconds of the budget are gone."""
    return {
        "tol": model.tol,
        "max_iter": model.max_iter,
        "max_passes": model.max_passes,
        "max_seconds": model.max_seconds and max(model.max_seconds - spent, 0.0),
        "callback": _callback(model.verbose, progress, objective.at.original),
        "seed": seed_of(model.random_state),
    }


def _conversion(X, labelled):
    """What became of the user's X, in words, or None."""
    return conversion(X, labelled.block.X.stored)


def _is_small(model, labelled, name, start, continued, checkpoint):
    """Whether `small` applies: few numbers, only an L2 penalty, no warm start and no checkpoint."""
    if name != "newton-cholesky" or streaming.is_streamed(labelled) or model.C == math.inf:
        return False
    asked = model.bounds, model.penalty_factor, continued, checkpoint
    if any(one is not None for one in asked) or model.l1_ratio or model.standardize:
        return False
    return not start.any() and small.suits(labelled.block, loss_of(len(labelled.classes)).n_outputs)


def _solve_small(model, X, labelled, loss, total_weight, progress):
    """The Solution of `small`, or None."""
    headings = [_conversion(X, labelled), HEADINGS]
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
    entries = math.prod(X.shape) if layout == "dense" else X.entries
    return costs.Seen(C * labelled.total_weight * spread, apart, entries, layout, uneven)


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
