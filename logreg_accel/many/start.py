"""Where many models start: paths from strong to weak penalties, walked on a sample in memory."""

import numpy as np

from .. import clock
from ..clock import Stop
from ..solvers.newton import newton_in_memory
from .lockstep import on_rows

_ROWS_PER_PARAMETER = 50
_SOLVED = 1e-3  # decrement beside the loss: the sample itself is further from all rows than that
_STEPS = 20


def path_start(session, objectives, seed):
    """A start for every objective, from the optimum of a sample that all of them share.

    Parameters
    ----------
    session : Lockstep
        What the sample costs is counted there, and its time ends the walk.
    objectives : list of Objective
        Of one `rows` and loss.
    seed : int

    Returns
    -------
    list of ndarray (size,)
        Zeros where there is no sample, or no time.
    """
    rows, size = objectives[0].rows, objectives[0].size
    starts = [np.zeros(size) for _ in objectives]
    with rows.backend.limit_threads():
        sample = rows.draw(_ROWS_PER_PARAMETER * size, seed)
    if sample is None:
        return starts
    session.n_passes += sample.cost
    paths: dict = {}
    for i in sorted(range(len(objectives)), key=lambda i: -np.sum(objectives[i].penalty.l2)):
        paths.setdefault(objectives[i].models, []).append(i)
    paths = list(paths.values())

    def walk(p):
        w = np.zeros(size)
        for i in paths[p]:
            w = starts[i] = _answered(newton_in_memory(on_rows(objectives[i], sample), w, _SOLVED, _STEPS))

    try:
        with clock.keeping(session.deadline):
            rows.backend.each(walk, len(paths))
    except Stop:
        pass  # what was not reached starts at zero
    return starts


def _answered(questions):
    """The weights that a generator of questions about a sample finds."""
    answer = None
    while True:
        try:
            question = questions.send(answer)
        except StopIteration as end:
            return end.value[0].w
        answer = question.on.answer(question)
