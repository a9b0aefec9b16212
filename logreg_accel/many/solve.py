"""Fits the models of a table: in lock-step where that pays, otherwise one by one, starting from
neighbours."""

import math
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from .. import driver, fitting, options, streaming
from ..backends import Choice, get_backend
from ..data import compute_dtype
from ..driver import Trial
from ..losses import loss_of
from ..objective import Objective
from ..rows import MemoryRows
from ..solvers import SOLVERS, newton_subsampled, resolve_solver
from .lockstep import Lockstep
from .single import OneByOne
from .start import path_start, shared_rows
from .table import penalty_of, weight_of

_TOGETHER = {"newton-subsampled"}
"""Solvers whose models always share their reads: they take few steps, about as many for each model.

Other solvers take hundreds of reads, and cannot keep margins if they share them. On a CPU, where the time of
a read is proportional to the number of models, it is much faster to start each model from its neighbours.
"""

_TOGETHER_WHERE_DEAR = _TOGETHER | {"newton-cholesky", "newton-cg", "lbfgs"}

_PROOF_ROWS = 4
"""Rows per parameter that a proof may move. The Hessian of these rows serves a single model, whereas one more
step, after which fewer rows suffice, takes a read that all models share."""


class Progress(NamedTuple):
    """The argument of the callback of many models, after every read, or after every model if fitted one by
    one.

    Attributes
    ----------
    n_models, n_done : int
    n_passes, seconds : float
    """

    n_models: int
    n_done: int
    n_passes: float
    seconds: float


class Outcome(NamedTuple):
    """The result of fitting a table.

    Attributes
    ----------
    fitted : list of Fitted
        One per model, with its point in the user's coordinates.
    n_passes : float
        Reads of all rows, by all models together.
    """

    fitted: list
    n_passes: float


def solve_table(template, shared, specs, callback=None, starts=None):
    """Minimise the objectives of a table of models.

    Parameters
    ----------
    template : LogisticRegression
        Supplies the parameters except C and l1_ratio; budgets hold for all models together.
    shared : Shared
    specs : list of Spec
    callback : callable Progress -> bool or None
        True stops all models.
    starts : list of ndarray or None
        Points to start from.

    Returns
    -------
    Outcome
    """
    run = _Run(template, shared, specs, callback)
    together = [i for i, spec in enumerate(specs) if run.is_smooth(spec)]
    if starts is None and len(together) > 1 and run.shares_reads:
        run.in_lockstep(together)
    OneByOne(run, starts).fit()
    return Outcome(run.fitted, run.n_passes)


class _Solver(NamedTuple):
    settings: Any
    name: str
    reason: str


class _Run:
    """The state of fitting the models of a table."""

    def __init__(self, template, shared, specs, callback):
        self.template, self.shared, self.specs, self.callback = template, shared, specs, callback
        self.fitted: list = [None] * len(specs)
        self.session = Lockstep(template.max_passes, template.max_seconds)
        self.totals: dict = {}
        self.scales: dict = {}
        matrix, self.loss = shared.X, loss_of(len(shared.classes))
        m, n = matrix.shape
        self.backend, self.chosen = get_backend(
            template.backend,
            matrix.nbytes,
            matrix.on_device,
            template.n_threads,
            n_rows=m,
            n_outputs=self.loss.n_outputs,
            work=matrix.work,
            upload=not shared.streamed,
        )
        smooth = any(self.is_smooth(spec) for spec in specs)
        self.factors = options.penalty_factors(template, n)
        self.bounds = None if template.bounds is None else options.bounds_of(template, n)
        plain = self.factors is None and not template.standardize
        self.solver = _Solver(
            *resolve_solver(
                options.solver_asked(template),
                n,
                m,
                matrix.nbytes,
                smooth and plain and not shared.streamed,
                self.loss.n_outputs,
                l1=not smooth and any(spec.l1_ratio > 0 for spec in specs),
                real=compute_dtype(matrix.dtype).itemsize,
                available=lambda: None if shared.streamed else self.backend.free_bytes(matrix),
            )
        )
        if shared.streamed and template.solver == "auto" and self.solver.name == "newton-cholesky":
            self.solver = _Solver(
                SOLVERS["newton-cg"](), "newton-cg", "a Hessian of each model is a read of its own"
            )

    @staticmethod
    def is_smooth(spec):
        """Whether a model has only an L2 penalty, as lock-step requires."""
        return spec.l1_ratio == 0 and spec.C < math.inf

    @property
    def shares_reads(self):
        """Whether smooth models are fitted together."""
        read_is_dear = self.backend.on_device or self.shared.streamed
        return self.solver.name in (_TOGETHER_WHERE_DEAR if read_is_dear else _TOGETHER)

    @property
    def n_passes(self):
        return self.session.n_passes

    def total(self, model):
        """Σ s of a model, in the user's weights."""
        key = model._replace(class_weight=None)
        if key not in self.totals:
            self.totals[key] = self.shared.class_totals(key)
        return weight_of(self.totals[key], model)

    def scale(self, spec):
        """Standard deviations of the columns over the training rows of a model, for `standardize`, or
        None."""
        if not self.template.standardize:
            return None
        if spec.model not in self.scales:
            block, intercept = self.shared.alone(spec).block, bool(self.template.fit_intercept)
            rows = MemoryRows([block], self.backend, len(self.shared.classes), intercept)
            self.scales[spec.model] = rows.deviations(intercept)
            self.session.n_passes += 1
        return self.scales[spec.model]

    # -- together --------------------------------------------------------------------------------------------

    def in_lockstep(self, which):
        """Fit some of the models, whose reads are shared."""
        labelled = self.shared.together()
        template, session, seed = self.template, self.session, fitting.seed_of(self.template.random_state)
        streaming.check_room(labelled, self.solver.settings, self.loss.n_outputs, len(which))
        with self.backend.limit_threads():
            rows = streaming.rows_of(labelled, self.backend, bool(template.fit_intercept))
            objectives = [self._objective(rows, self.specs[i], labelled.weight_scale) for i in which]
            starts = [np.zeros(o.size) for o in objectives]
            settings = self.solver.settings
            if isinstance(settings, newton_subsampled) and len(starts[0]) <= 1000:
                rows_per_parameter = settings.rows_per_parameter
                if not self.shared.streamed:
                    rows_per_parameter = shared_rows(objectives, rows_per_parameter)
                settings = replace(settings, rows_per_parameter=rows_per_parameter)
                starts = path_start(session, objectives, seed, rows_per_parameter)
            trials = [
                Trial(
                    session, self.solver.settings, o, o.start(w, seed), template.tol, template.max_iter, None
                )
                for o, w in zip(objectives, starts, strict=True)
            ]
            for trial in trials:
                trial.certificate.rows_per_parameter = _PROOF_ROWS
            solutions = session.run_all(trials, lambda live: self.tell(len(live)))
        for i, objective, solution in zip(which, objectives, solutions, strict=True):
            solution = solution._replace(w=objective.at.original(solution.w))
            choice, found = self._choice(len(which)), self.scale(self.specs[i])
            self.fitted[i] = fitting.Fitted(solution, self.chosen, choice, found)

    def _objective(self, rows, spec, scale):
        total = self.total(spec.model)
        n, k, intercept = self.shared.X.shape[1], self.loss.n_outputs, bool(self.template.fit_intercept)
        penalty = penalty_of(spec, total)
        penalty = options.by_weight(penalty, self.factors, self.scale(spec), n, k, intercept)
        return Objective(rows, self.loss, penalty, intercept, spec.model, total / scale)

    def _choice(self, count):
        return Choice(self.solver.name, f"{self.solver.reason}; {count} models share their reads")

    def tell(self, under_way):
        """Report a read to the callback, which may stop all models."""
        progress = Progress(
            len(self.specs), len(self.specs) - under_way, self.session.n_passes, self.session.seconds
        )
        if self.template.verbose:
            fitting.say(
                f"{progress.n_done} of {progress.n_models} models done, {progress.n_passes:.4g} passes, "
                f"{progress.seconds:.2f} s"
            )
        if self.callback is not None and self.callback(progress):
            self.callback = None
            raise driver.Stop(driver.CALLBACK)
