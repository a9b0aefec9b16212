"""What a fit says of itself, against the truth."""

import contextlib
import dataclasses
import signal
import warnings
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from logreg_accel import LogisticRegression

from . import losses
from .problems import FIRST_ORDER, as_float64, problem
from .reference import Exact, optimum
from .separation import infimum

SECONDS = 60
"""A fit that takes longer on the processor, or ten times longer by the clock, hangs: an exception."""

_ROUNDING = 1e-13
"""Of a bound or a claim, relative to F: what float64 cannot show."""

SILENT = 1e-4
REACHED = 1e-6

FAULTS = {
    "false converged": "status_ is 'converged' and the true distance is above tol",
    "false estimated": "status_ is 'estimated' and the true distance is above 10 tol",
    "false separable": "status_ is 'separable' and no plane separates any rows",
    "silent": f"no ConvergenceWarning and the true distance is above {SILENT:g}",
    "bound too low": "suboptimality_bound_ is below the true distance",
    "exception": f"an exception on legitimate data, or {SECONDS} s of processor time",
    "no number": "suboptimality_ is nan, negative or above 1, or suboptimality_bound_ is nan",
    "claim too high": "status_ is 'converged' or 'estimated' and suboptimality_ is above tol",
    "claim above bound": "suboptimality_ is above suboptimality_bound_",
    "warnings": "a warning that is no ConvergenceWarning",
    "not reached": f"neither converged nor separable, the true distance above max({REACHED:g}, 10 tol), and "
    "coefficients of this dtype can be nearer; gd, sgd, fista and fits with max_passes are excused",
}


@dataclasses.dataclass
class Verdict:
    """One fit judged; the true distance (F − F*)/F lies from `least` to `most`."""

    seed: int
    name: str
    fit: dict
    faults: list
    status: str = ""
    claim: float = np.nan
    bound: float = np.nan
    least: float = np.nan
    most: float = np.nan
    warned: bool = False
    recedes: bool = False
    excused: bool = False
    told: str = ""


class Truth:
    """The exact objective of a Problem and its Optimum."""

    def __init__(self, problem):
        s = np.ones(len(problem.y)) if problem.sample_weight is None else problem.sample_weight
        s = s.astype(np.float64)
        classes, codes = np.unique(problem.y, return_inverse=True)
        s = s * _class_weights(problem.parameters["class_weight"], classes, codes, s)
        used = s > 0
        X, s, codes, k = as_float64(problem.X)[used], s[used], codes[used], len(classes)
        C, l1_ratio = problem.parameters["C"], problem.parameters["l1_ratio"]
        intercept = problem.parameters["fit_intercept"]
        self.objective = Exact(X, losses.of(codes, k), s, (1 - l1_ratio) / C, l1_ratio / C, intercept)
        self.optimum = optimum(self.objective) if C < np.inf else infimum(X, codes, k, s, intercept)

    def distance(self, coef, intercept):
        """(F − F*)/F at some coefficients: at least, and at most."""
        value = self.objective.at(coef, intercept).value
        if not np.isfinite(value):
            return 1.0, 1.0
        lower = max(self.optimum.lower, 0)
        return tuple(float(max(value - best, 0) / value) for best in (min(self.optimum.upper, value), lower))

    def floor(self, dtype):
        """The distance of the optimum with coefficients rounded to a dtype and intercepts to float64."""
        if self.optimum.upper == 0:
            return 0.0
        coef, shifted = self.objective.coefficients(self.optimum.point)
        with np.errstate(over="ignore"):
            coef = coef.astype(dtype)
        intercept = shifted - coef.astype(np.longdouble) @ self.objective.mean
        return self.distance(coef, intercept.astype(np.float64))[0]


def _class_weights(given, classes, codes, s):
    if given is None:
        return np.ones(len(codes))
    if given == "balanced":
        return (s.sum() / (len(classes) * np.bincount(codes, weights=s)))[codes]
    return np.array([given.get(int(label), 1.0) for label in classes])[codes]


def judge(given, truth, fit):
    """The Verdict on one fit of a problem."""
    verdict = Verdict(given.seed, given.name, fit, [])
    try:
        with _at_most(SECONDS):
            model, caught = _fitted(given, **fit)
    except Exception as error:
        verdict.faults, verdict.told = ["exception"], f"{type(error).__name__}: {error}"
        return verdict
    verdict.warned = any(issubclass(w.category, ConvergenceWarning) for w in caught)
    verdict.told = "; ".join(str(w.message) for w in caught if not issubclass(w.category, ConvergenceWarning))
    verdict.status = model.status_
    verdict.claim, verdict.bound = model.suboptimality_, model.suboptimality_bound_
    verdict.least, verdict.most = truth.distance(model.coef_, model.intercept_)
    excused = fit["solver"] in FIRST_ORDER or "max_passes" in fit
    verdict.excused = excused or verdict.least < 10 * truth.floor(model.coef_.dtype)
    verdict.recedes = truth.optimum.recedes
    verdict.faults = [kind for kind, found in _found(verdict, fit["tol"]) if found]
    return verdict


def _fitted(given, from_C=None, **fit):
    """A model, and the warnings of its fit."""
    steps = FIRST_ORDER.get(fit["solver"], 1000)
    model = LogisticRegression(**given.parameters, **fit, max_iter=steps, warm_start=from_C is not None)
    with warnings.catch_warnings(record=True) as caught:
        if from_C is not None:
            warnings.simplefilter("ignore")
            model.set_params(C=from_C).fit(given.X, given.y, sample_weight=given.sample_weight)
            model.set_params(C=given.parameters["C"])
        warnings.simplefilter("always")
        model.fit(given.X, given.y, sample_weight=given.sample_weight)
    return model, caught


def _found(v, tol):
    proven, claims = v.status == "converged", v.status in ("converged", "estimated")
    yield "false converged", proven and v.least > tol * (1 + 1e-6) + _ROUNDING
    yield "false estimated", v.status == "estimated" and v.least > 10 * tol
    yield "false separable", v.status == "separable" and not v.recedes
    yield "silent", not v.warned and v.least > SILENT
    yield "bound too low", v.least > v.bound * (1 + 1e-6) + _ROUNDING
    yield "no number", not 0 <= v.claim <= 1 or not v.bound >= 0
    yield "claim too high", claims and not v.claim <= tol
    yield "claim above bound", v.claim > v.bound * (1 + 1e-6) + _ROUNDING
    yield "warnings", bool(v.told)
    far = v.least > max(REACHED, 10 * tol) and not v.excused
    yield "not reached", far and not proven and v.status != "separable"


@contextlib.contextmanager
def _at_most(seconds):
    """A context that raises TimeoutError in the main thread: a busy machine slows no fit, but a lock ends."""

    def over(*_):
        raise TimeoutError(f"the fit takes more than {seconds} s")

    timers = (signal.ITIMER_PROF, signal.SIGPROF, seconds), (signal.ITIMER_REAL, signal.SIGALRM, 10 * seconds)
    before = [signal.signal(number, over) for _, number, _ in timers]
    for timer, _, limit in timers:
        signal.setitimer(timer, limit)
    try:
        yield
    finally:
        for (timer, number, _), handler in zip(timers, before, strict=True):
            signal.setitimer(timer, 0)
            signal.signal(number, handler)


def verdicts(given, solvers=None):
    """All fits of a problem judged, or those by some solvers."""
    fits = [fit for fit in given.fits if solvers is None or fit["solver"] in solvers]
    if not fits:
        return []
    truth = Truth(given)
    return [judge(given, truth, fit) for fit in fits]


def judged(seeds, solvers=None, jobs=1):
    """The verdicts on all fits of some seeds, in the order of the seeds, by one or more processes.

    Each has one thread for BLAS: products are small, and threads of several processes wait for each other.
    """
    if jobs == 1:
        with threadpool_limits(1):
            for seed in seeds:
                yield from _of_seed(seed, solvers)
        return
    context = get_context("spawn")
    with ProcessPoolExecutor(jobs, context, initializer=threadpool_limits, initargs=(1,)) as pool:
        for found in pool.map(_of_seed, seeds, [solvers] * len(seeds)):
            yield from found


def _of_seed(seed, solvers):
    return verdicts(problem(seed), solvers)
