"""The deadline of a fit: long work on the host checks the clock between its blocks."""

import contextlib
import math
import time
from contextvars import ContextVar
from threading import Event

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
_called_off: ContextVar[Event | None] = ContextVar("called off", default=None)


@contextlib.contextmanager
def keeping(deadline):
    """A context in which long work ends at a deadline, on all threads of `run_lanes`."""
    token = _deadline.set(deadline)
    try:
        yield
    finally:
        _deadline.reset(token)


@contextlib.contextmanager
def until(event):
    """A context whose work, with all fits in it, ends once an event is set, as if the time were over."""
    token = _called_off.set(event)
    try:
        yield
    finally:
        _called_off.reset(token)


def is_over(end):
    """Whether a time has passed, or the work was called off."""
    event = _called_off.get()
    return now() > end or (event is not None and event.is_set())


def check():
    """Raise Stop after the deadline: called between blocks of work of some hundredths of a second."""
    deadline = _deadline.get()
    if deadline is not None and is_over(deadline.at):
        raise Stop(MAX_SECONDS)


def slices(size, step):
    """Slices of at most `step` that cover `size`, with a check of the clock before each."""
    for start in range(0, size, step):
        check()
        yield slice(start, min(start + step, size))
