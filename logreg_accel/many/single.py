"""Separate fits of models, each started from its neighbours on the path of penalties, some in parallel."""

import itertools
import math
import threading

import numpy as np
from sklearn.base import clone

from .. import clock, driver, fitting
from .start import onward

_BUDGETS = {driver.MAX_PASSES, driver.MAX_SECONDS, driver.CALLBACK, driver.MAX_ITER}

_COPIES, _MATRICES, _FACTORED = 3, 6, 4096
"""Approximate memory of a fit beside X: copies of X, matrices, and their largest size in parameters."""


class OneByOne:
    """Fits the rest of a table: models that were not fitted together, and those that have no proof.

    Models of equal penalty, such as those of the splits of a cross-validation, do not depend on each other.
    As many as there are threads and as memory allows are fitted at the same time, each by one thread, since a
    fit leaves other threads idle between its passes. The remaining ones use all threads, one after the other.
    With a budget of passes, models are fitted one at a time, so that it is spent in a fixed order.

    Parameters
    ----------
    run : solve._Run
    starts : list of ndarray or None
        Points to start from.
    """

    def __init__(self, run, starts):
        self.run, self.starts = run, starts
        self.paths: dict = {}
        self.done = 0
        self.stopped = False  # whether the callback has stopped all fits: the remaining ones get no time
        self.called_off = threading.Event()
        self.telling = threading.Lock()

    def fit(self):
        """Fit all models that need it."""
        order = sorted(range(len(self.run.specs)), key=self._place)
        with clock.until(self.called_off):
            for _, alike in itertools.groupby(order, key=self._place):
                self._fit_alike(list(alike))

    def _place(self, i):
        """Models in the order of their penalties."""
        spec = self.run.specs[i]
        return spec.l1_ratio, spec.C

    def _fit_alike(self, which):
        session, abreast = self.run.session, self._abreast()
        beside = len(which) - len(which) % abreast if abreast > 1 else 0
        before, passes = session.n_passes, [0.0] * beside

        def fit(at):
            try:
                passes[at] = self._fit_next(which[at], 1)
            except BaseException:
                self.called_off.set()  # ends the fits on other threads
                raise

        if beside:
            self.run.backend.each(fit, beside)
            session.n_passes = before + sum(passes)  # the order must not depend on which fit ended first
        for i in which[beside:]:
            self._fit_next(i, self.run.template.n_threads)

    def _abreast(self):
        run = self.run
        if run.shared.streamed or run.session.max_passes < math.inf:
            return 1
        size = run.shared.X.shape[1] * run.loss.n_outputs
        room = run.backend.free_bytes(run.shared.X)
        each = _COPIES * run.shared.X.nbytes + _MATRICES * 8 * min(size, _FACTORED) ** 2
        return int(min(run.backend.abreast, math.inf if room is None else room // each))

    def _fit_next(self, i, n_threads):
        """Fit a model, the next one of its path, and return the passes that it took."""
        run, spec, found = self.run, self.run.specs[i], self.run.fitted[i]
        path = self.paths.setdefault((spec.model, spec.l1_ratio), [])
        passes, needed = 0.0, found is None or self._is_worth_another(found)
        if needed:
            if found is not None:
                start = found.solution.w
            elif self.starts is not None:
                start = self.starts[i]
            else:
                start = onward(path, spec.C, run.is_smooth(spec) and run.bounds is None)
            run.fitted[i], passes = self._alone(spec, start, found, n_threads)
        path.append((spec.C, run.fitted[i].solution.w))
        with self.telling:
            run.session.n_passes += passes
            self.done += 1
            if needed:
                self._tell()
        return passes

    def _tell(self):
        try:
            self.run.tell(len(self.run.specs) - self.done)
        except driver.Stop:
            self.run.session.max_seconds, self.stopped = 0.0, True
            self.called_off.set()

    def _is_worth_another(self, found):
        solution = found.solution
        proven = solution.bound <= max(self.run.template.tol, driver.HIGH_FLOOR)
        return not proven and solution.status not in _BUDGETS and self.run.session.goes_on

    def _single(self, spec, n_threads):
        """The estimator of a model that is fitted alone, with the rest of the budgets."""
        run, session = self.run, self.run.session
        model = clone(run.template).set_params(C=spec.C, l1_ratio=spec.l1_ratio, verbose=0, callback=None)
        model.penalty_factor, model.bounds = run.factors, run.bounds  # the names have been checked
        model.n_threads = n_threads
        if session.max_passes < math.inf:
            model.max_passes = max(session.reads_left, 1e-9)
        if session.max_seconds < math.inf:
            model.max_seconds = max(session.max_seconds - session.seconds, 1e-9)
        return model

    def _alone(self, spec, start, found, n_threads):
        """Return the result of a single fit, from a start or the last point, and its passes."""
        run = self.run
        model = self._single(spec, n_threads)
        labelled, n, k = run.shared.alone(spec), run.shared.X.shape[1], run.loss.n_outputs
        size = (n + bool(model.fit_intercept)) * k
        w = np.zeros(size) if start is None else start
        quiet = fitting.Progress(None, None)
        fitted = fitting.solve(model, None, labelled, labelled.total_weight, w, quiet)
        passes = fitted.solution.n_passes
        if fitted.solution.status == driver.INTERRUPTED:
            raise KeyboardInterrupt
        if self.stopped and fitted.solution.status == driver.MAX_SECONDS:
            fitted = fitted._replace(solution=fitted.solution._replace(status=driver.CALLBACK))
        worse = found is not None and fitted.solution.bound > found.solution.bound
        return (found if worse else fitted), passes
