"""A session answers the questions of trials, counts the reads and keeps the budgets."""

import contextlib
import math

import numpy as np

from . import clock
from .backends.threads import blas_limit
from .clock import MAX_SECONDS, Stop
from .solvers import questions as ask

MAX_PASSES, INTERRUPTED = "max_passes", "interrupted"

_FREE = ask.DualValue | ask.MarginChange
"""Questions that are answered although the time is over, because they read next to nothing."""

_OF_ROWS = ask.Evaluate | ask.HessianVector | ask.Curvature | ask.Draw | ask.Combine
GRACE = 0.05
"""Share of `max_seconds` by which closing a trial may exceed it."""

_LARGE = 1 << 21
_LARGE_HESSIAN = 1 << 27
"""Numbers of X, and multiplications for a Hessian, from which several threads of BLAS pay. Below, they gain
less than they lose on a machine with other work, where all of them spin until the last one gets a core."""


_AS_IT_IS = contextlib.nullcontext()


def _is_much(rows, question):
    numbers = rows.entries
    hessian = isinstance(question, ask.Curvature) and numbers * numbers >= _LARGE_HESSIAN * rows.n_rows
    return hessian or numbers >= _LARGE


class Session:
    """Answers the questions of trials, counts the reads, and stops trials when a budget is spent.

    When the time is over, no further read begins, and long work on the host ends at its next check of the
    clock. The first evaluation of all rows is finished in any case, so that there is a model.

    Whatever is not a sum over many rows runs on one thread of BLAS, since several would sum in another order.

    Parameters
    ----------
    max_passes, max_seconds : float or None

    Attributes
    ----------
    n_passes : float
        Reads of X so far.
    """

    def __init__(self, max_passes=None, max_seconds=None):
        self.max_passes = math.inf if max_passes is None else max_passes
        self.max_seconds = math.inf if max_seconds is None else max_seconds
        self.started = clock.now()
        self.ends = self.started + self.max_seconds
        self.deadline = clock.Deadline(self.ends)
        self.n_passes = 0.0
        self._on_one_thread = contextlib.ExitStack()

    @property
    def seconds(self):
        """The time since the session began."""
        return clock.now() - self.started

    @property
    def reads_left(self):
        """The number of reads that the budget allows."""
        return self.max_passes - self.n_passes

    @property
    def goes_on(self):
        """Whether the budgets allow another run."""
        return self.reads_left >= 2 and not clock.is_over(self.ends)

    def run(self, trial):
        """Return the Solution of a trial. An exception that ends the trial is thrown into it, so that it can
        close."""
        questions = trial.questions()
        step, value = questions.send, None
        with self._under_way():
            while True:
                try:
                    while True:
                        question = step(value)
                        step, value = questions.send, self._answer(trial, question)
                except StopIteration as end:
                    return end.value
                except (Stop, KeyboardInterrupt) as stop:
                    self.deadline.at = max(self.ends, clock.now() + GRACE * self.max_seconds)
                    if questions.gi_frame is not None:
                        step, value = questions.throw, stop
                    elif trial.best is not None:  # Ctrl-C while the trial was closing
                        return trial.solution(INTERRUPTED)
                    else:
                        raise

    @contextlib.contextmanager
    def _under_way(self):
        """A context for work on the host: with a deadline, on one thread, and without NumPy's warnings, since
        solvers and certificates handle inf and nan."""
        with clock.keeping(self.deadline), np.errstate(all="ignore"), self._on_one_thread:
            self._on_one_thread.enter_context(blas_limit(1))
            yield

    def _answer(self, trial, question):
        objective = getattr(question, "on", None) or trial.objective
        reads = objective.reads(question)
        first = trial.best is None and objective is trial.objective and isinstance(question, ask.Evaluate)
        if clock.is_over(self.ends) and not first and not isinstance(question, _FREE):
            raise Stop(MAX_SECONDS)
        if trial.best is not None and reads and reads > self.reads_left:
            raise Stop(MAX_PASSES)
        before, self.deadline.at = self.deadline.at, math.inf if first else self.deadline.at
        with self._threads_for(objective.rows, question):
            answer = objective.answer(question)
        self.deadline.at = before
        if isinstance(question, ask.Draw):  # the number of rows that it reads is random, too
            reads = 0.0 if answer is None else answer.rows.cost
        self.n_passes += reads
        return answer

    def _threads_for(self, rows, question):
        """Allow BLAS several threads for a sum over many rows, whose order the backend determines."""
        many = isinstance(question, _OF_ROWS) and _is_much(rows, question)
        return self._on_any() if many else _AS_IT_IS

    @contextlib.contextmanager
    def _on_any(self):
        self._on_one_thread.close()
        try:
            yield
        finally:
            self._on_one_thread.enter_context(blas_limit(1))
