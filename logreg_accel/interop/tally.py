"""How many fits a patch made, how many it left to scikit-learn, and how long they took."""

import threading
import time


class Tally:
    """Counts fits of scikit-learn's classes in this process, on any number of threads.

    Attributes
    ----------
    fits, seconds : dict of str -> int or float
        Number and time of fits made "here", and "there", by scikit-learn.
    """

    def __init__(self):
        self.lock = threading.Lock()
        self.fits, self.seconds = {"here": 0, "there": 0}, {"here": 0.0, "there": 0.0}

    def add(self, where, began):
        """Count a fit that was made "here" or "there" and began at a time of time.perf_counter."""
        took = time.perf_counter() - began
        with self.lock:
            self.fits[where] += 1
            self.seconds[where] += took

    def summary(self):
        """One line, without the time saved, since the time that scikit-learn would take is not measured."""
        here, there = self.fits["here"], self.fits["there"]
        if not here and not there:
            return "no fits of LogisticRegression in this process"
        parts = [f"{_fits(here)}, {self.seconds['here']:.1f} s here"]
        if here:
            parts.append("the same through scikit-learn is not measured")
        if there:
            parts.append(f"{_fits(there)}, {self.seconds['there']:.1f} s left to scikit-learn (-v says why)")
        return "; ".join(parts)


def _fits(count):
    return f"{count} fit" + "s" * (count != 1)


TALLY = Tally()
"""The Tally of all patched classes."""
