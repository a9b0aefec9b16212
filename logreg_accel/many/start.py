"""Starting points of many models: paths from strong to weak penalties, followed on a sample in memory.

Models of one target with nearly equal penalties, such as those of the splits of a cross-validation, have
optima that are closer to each other than the optimum of a sample is to any of them. So one start, found on
all rows of the sample, serves all of them, and the Hessian there is their common metric. If Hessians take
long, neighbours on a path share one as well, except for the diagonal of their penalties: the further steps
that this may cost are reads that all models share.
"""

import math

import numpy as np

from .. import clock
from ..clock import Stop
from ..solvers import questions as ask
from ..solvers.newton import newton_in_memory
from ..solvers.subsampled import FACTORED_UP_TO
from .lockstep import of_all_splits

_FIRST_ROWS = 50  # rows per parameter, at most, of the sample on which paths are followed
_MOST_ROWS = 400  # rows per parameter, at most, of the sample that refines the ends, and of the first metric
_LEAST_SHARE = 8  # at most one row of so many is drawn
_HESSIANS = 3  # Hessians of samples of that size: at most two steps, and the metric
_SOLVED = 1e-3  # decrement relative to the loss: the optimum of the sample is further from that of all rows
_STEPS = 20
_NEAR = 4.0  # change of any row's margin, up to which neighbours share a Hessian
_ALIKE = 0.99  # smallest ratio of two penalties that count as nearly equal


def shared_rows(objectives, usual):
    """How many rows per parameter the first metrics may have, where each of them serves several models."""
    rows, size = objectives[0].rows, objectives[0].size
    return int(max(usual, min(_cheap_rows(objectives), _MOST_ROWS, rows.n_rows / (_LEAST_SHARE * size))))


def _cheap_rows(objectives):
    """Rows per parameter with which a metric for every penalty takes as long as about a read for all models.

    The Hessian of S rows takes S·size² products, a read 2·m·size for each model.
    """
    rows, size = objectives[0].rows, objectives[0].size
    metrics = sum(len(path) for path in _paths(objectives).values())
    return 2 * len(objectives) * rows.n_rows / (_HESSIANS * metrics * size**2)


def path_start(session, objectives, seed, rows_per_parameter):
    """A start for every objective, from the optimum of a sample that all of them share.

    Parameters
    ----------
    session : Lockstep
        Counts the cost of the samples, and limits the time; it learns which models share metrics.
    objectives : list of Objective
        Objectives with the same `rows` and loss.
    seed : int
    rows_per_parameter : int
        Rows of the metrics.

    Returns
    -------
    list of ndarray (size,)
        Zeros if there is no sample, or no time.
    """
    rows, size = objectives[0].rows, objectives[0].size
    paths = list(_paths(objectives).values())
    starts = [[np.zeros(size) for _ in path] for path in paths]
    near: list = []  # sections of paths whose models share a Hessian
    farthest = _NEAR if rows_per_parameter > _cheap_rows(objectives) else 0.0

    def drawn(per_parameter):
        with rows.backend.limit_threads():
            sample = rows.draw(per_parameter * size, seed)
        session.n_passes += 0.0 if sample is None else sample.cost
        return sample

    def follow(sample, p, enough, most_steps, onward):
        first = None
        for i, alike in enumerate(paths[p]):
            on = of_all_splits([objectives[j] for j in alike], sample)
            w = starts[p][max(i - onward, 0)]
            here = _answered(newton_in_memory(on, w, enough, most_steps, FACTORED_UP_TO))
            starts[p][i] = here.w
            if onward:
                if first is None or not on.answer(ask.MarginChange(first, here)).largest <= farthest:
                    first, runs = here, []
                    near.append(runs)
                runs.append([objectives[j] for j in alike])

    first, wider = min(rows_per_parameter, _FIRST_ROWS), rows_per_parameter >= 2 * _FIRST_ROWS
    if (sample := drawn(first)) is None:
        return [np.zeros(size) for _ in objectives]
    try:
        with clock.keeping(session.deadline):
            rows.backend.each(lambda p: follow(sample, p, _SOLVED, _STEPS, onward=True), len(paths))
            if wider and size <= FACTORED_UP_TO and (sample := drawn(rows_per_parameter)) is not None:
                rows.backend.each(lambda p: follow(sample, p, 0.0, 1, onward=False), len(paths))
    except Stop:
        pass  # models that were not reached start at zero
    for runs in near:
        session.share_metrics(runs)
    found = [np.zeros(size)] * len(objectives)
    for path, ends in zip(paths, starts, strict=True):
        for alike, w in zip(path, ends, strict=True):
            for j in alike:
                found[j] = w
    return found


def onward(path, C, straight):
    """Extrapolate the model of C from its path, on the line through the last two models in log C.

    Parameters
    ----------
    path : list of (C, w)
        From the strongest penalty to the weakest.
    straight : bool
        Whether to extrapolate: a line would leave the zeros of an L1 penalty, and bounds.

    Returns
    -------
    ndarray (size,), or None for the first of a path
    """
    if not path:
        return None
    last, w = path[-1]
    if len(path) == 1 or not straight or path[-2][0] == last:
        return w
    before, w_before = path[-2]
    return w + math.log(C / last) / math.log(last / before) * (w - w_before)


def _paths(objectives):
    """For every target, lists of models with equal penalties, from the strongest penalty to the weakest."""
    paths: dict = {}
    for i in sorted(range(len(objectives)), key=lambda i: -_strength(objectives[i])):
        path = paths.setdefault(objectives[i].models[0].target, [])
        if not path or _strength(objectives[i]) < _ALIKE * _strength(objectives[path[-1][0]]):
            path.append([])
        path[-1].append(i)
    return paths


def _strength(objective):
    return float(np.sum(objective.penalty.l2))


def _answered(questions):
    """Answer the questions of a generator about a sample, and return the point that it finds."""
    answer = None
    while True:
        try:
            question = questions.send(answer)
        except StopIteration as end:
            return end.value[0]
        answer = question.on.answer(question)
