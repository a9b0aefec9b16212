"""The deadline of a fit: long work on the host checks the clock between its blocks."""

import contextlib
import math
import time
from contextvars import ContextVar

MAX_SECONDS = "max_seconds"

now = time.perf_counter


class Stop(Exception):
    """Ends a trial with a status."""


class Deadline:
    """A time limit that may change while `keeping` it.

    Attributes
    ----------
    at : float
        In the time of `now`; inf for no deadline.
    """

    def __init__(self, at=math.inf):
        self.at = at


_deadline: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


@contextlib.contextmanager
def keeping(deadline):
    """A context in which long work ends at a deadline, on all threads of `run_lanes`."""
    token = _deadline.set(deadline)
    try:
        yield
    finally:
        _deadline.reset(token)


def check():
    """Raise Stop after the deadline: called between blocks of work of some hundredths of a second."""
    deadline = _deadline.get()
    if deadline is not None and now() > deadline.at:
        raise Stop(MAX_SECONDS)


def slices(size, step):
    """Slices of at most `step` that cover `size`, with a check of the clock before each."""
    for start in range(0, size, step):
        check()
        yield slice(start, min(start + step, size))
