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
"""Questions that are answered although the time is over: they hardly read."""

_OF_ROWS = ask.Evaluate | ask.HessianVector | ask.Curvature | ask.Draw | ask.Combine
GRACE = 0.05
"""Share of the time allowed that it may take to close a trial that has none left."""

_LARGE = 1 << 21
_LARGE_HESSIAN = 1 << 27
"""Numbers of X, and products of a Hessian, from which on threads of BLAS are worth it: below, they gain less
than they lose where the other cores are busy, since they spin while one of them waits for its turn."""


_AS_IT_IS = contextlib.nullcontext()


def _is_much(rows, question):
    numbers = rows.entries
    hessian = isinstance(question, ask.Curvature) and numbers * numbers >= _LARGE_HESSIAN * rows.n_rows
    return hessian or numbers >= _LARGE


class Session:
    """Answers the questions of trials, counts the reads, and stops trials when a budget is spent.

    The time ends reads before they begin, and long work on the host wherever it looks at the clock. The first
    evaluation of all rows is finished in any case, so that there is a model.

    Whatever is not a sum over many rows runs on one thread of BLAS, which sums in another order on several.

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
        """Since the session began."""
        return clock.now() - self.started

    @property
    def reads_left(self):
        """What the budget of reads allows."""
        return self.max_passes - self.n_passes

    @property
    def goes_on(self):
        """Whether the budgets allow another run."""
        return self.reads_left >= 2 and clock.now() < self.ends

    def run(self, trial):
        """The Solution of a trial; what ends it is thrown into it, so that it closes in its own way."""
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
        """A context of work on the host: with a deadline, on one thread. What overflows becomes inf or nan,
        which solvers and certificates take for what it is; nobody has to be warned of it."""
        quiet = np.errstate(over="ignore", invalid="ignore")
        with clock.keeping(self.deadline), quiet, self._on_one_thread:
            self._on_one_thread.enter_context(blas_limit(1))
            yield

    def _answer(self, trial, question):
        objective = getattr(question, "on", None) or trial.objective
        reads = objective.reads(question)
        first = trial.best is None and objective is trial.objective and isinstance(question, ask.Evaluate)
        if clock.now() > self.ends and not first and not isinstance(question, _FREE):
            raise Stop(MAX_SECONDS)
        if trial.best is not None and reads and reads > self.reads_left:
            raise Stop(MAX_PASSES)
        before, self.deadline.at = self.deadline.at, math.inf if first else self.deadline.at
        with self._threads_for(objective.rows, question):
            answer = objective.answer(question)
        self.deadline.at = before
        if isinstance(question, ask.Draw):  # how many rows it takes is drawn, too
            reads = 0.0 if answer is None else answer.rows.cost
        self.n_passes += reads
        return answer

    def _threads_for(self, rows, question):
        """Any number of threads of BLAS for a sum over many rows, which it is up to the backend to order."""
        many = isinstance(question, _OF_ROWS) and _is_much(rows, question)
        return self._on_any() if many else _AS_IT_IS

    @contextlib.contextmanager
    def _on_any(self):
        self._on_one_thread.close()
        try:
            yield
        finally:
            self._on_one_thread.enter_context(blas_limit(1))
