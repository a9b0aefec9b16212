"""Many trials in lock-step: questions about the same rows share one read, and drawn rows are shared."""

import math
import weakref
from collections import Counter

import numpy as np

from .. import clock
from ..backends.passes import Model, WeightSum
from ..backends.side_by_side import beside, parted
from ..clock import MAX_SECONDS, Stop
from ..objective import Objective
from ..session import GRACE, MAX_PASSES, Session
from ..solvers import questions as ask

_LADDER = 1.25  # ratio of successive numbers of rows that are drawn for proofs, so that trials share draws
_SHARED = 2  # number of metrics that a model shares with similar models
_KEPT = 8  # bytes, per row of all rows, of the draws that are kept for trials that need them later


class _UnderWay:
    """A trial, the next answer for it, and the question that it waits for."""

    def __init__(self, trial):
        self.trial, self.questions = trial, trial.questions()
        self.step, self.value = self.questions.send, None
        self.question = self.solution = None

    @property
    def objective(self):
        """The objective that the question is about."""
        return getattr(self.question, "on", None) or self.trial.objective

    def told(self, answer):
        self.step, self.value = self.questions.send, answer

    def ended(self, stop):
        self.step, self.value = self.questions.throw, stop


class _Common:
    """The Hessian of drawn rows that some models share; each penalty only adds to its diagonal.

    It is computed at the point of the first model that asks for it, since the margins of all of them are
    close to each other. A model that keeps asking for new metrics has a split unlike the others, and then
    gets metrics of its own.

    Parameters
    ----------
    runs : list of list of Objective
        Each list has models of one target with nearly equal penalties.
    """

    def __init__(self, runs):
        self.runs, self.drawn, self.sums = runs, None, None
        self.run_of = {objective: i for i, run in enumerate(runs) for objective in run}
        self.shared: dict = {}
        self.solves: dict = {}
        self.asked: Counter = Counter()

    def on(self, drawn, objective):
        """The objective of all models of a run on drawn rows, or of one alone."""
        self.asked[objective] += 1
        if self.asked[objective] > _SHARED:
            return on_rows(drawn, objective)
        if self.drawn is not drawn:
            self.drawn, self.sums, self.shared, self.solves = drawn, None, {}, {}
        i = self.run_of[objective]
        if i not in self.shared:
            known = next(iter(self.shared.values()), None)
            every = sum(self.runs, []) if known is None else None
            self.shared[i] = under(known or of_all_splits(every, drawn), self.runs[i][0].penalty)
        return self.shared[i]

    def has(self, on):
        """Whether an objective is one of the shared ones on drawn rows."""
        return any(on is own for own in self.shared.values())

    def solve(self, question):
        """Return v -> H⁻¹·v for a shared objective, from the sums that answered the first question."""
        on = question.on
        if on not in self.solves:
            if self.sums is None:
                self.sums = on.rows.sum(on.to_pass(question))
            self.solves[on] = on.from_sums(question, self.sums.copy())
        return self.solves[on]


class Lockstep(Session):
    """A session of many trials over the same rows, each with its own solver.

    Every trial runs until it asks for a sum over all rows. Then one read for each kind of question computes
    these sums; trials that have ended no longer take part. Margins are not kept, since those of many models
    are as large as X.

    Rows are drawn for all trials together, so that the steps of a trial depend on the other trials; the proof
    of its result does not.
    """

    def __init__(self, max_passes=None, max_seconds=None):
        super().__init__(max_passes, max_seconds)
        self._draws = {}
        self._lent = weakref.WeakKeyDictionary()  # the key of a draw by each objective on it
        self._common = {}

    def share_metrics(self, runs):
        """Give models that are near each other the same metrics; see `_Common`."""
        common = _Common(runs)
        if len(common.run_of) > 1:
            self._common.update(dict.fromkeys(common.run_of, common))

    def run_all(self, trials, tell=lambda live: None):
        """The Solutions of trials; `tell` is called after every read with those that are still running."""
        every = [_UnderWay(trial) for trial in trials]
        with self._under_way():
            live = every
            while live:
                for one in live:
                    self._go_on(one)
                live = [one for one in live if one.solution is None]
                for alike in _groups(live):
                    self._read(alike)
                try:
                    tell([one.trial for one in live])
                except Stop as stop:
                    for one in live:
                        one.ended(stop)
        self._draws, self._common = {}, {}  # rows are not needed any more
        return [one.solution for one in every]

    def _go_on(self, one):
        """Answer a trial until it asks for a sum over all rows, or ends."""
        while True:
            try:
                one.question = one.step(one.value)
                if _is_shared(one):
                    return
                one.told(self._answer(one.trial, one.question))
            except StopIteration as end:
                one.solution, one.question, one.value = end.value, None, None  # references to drawn rows
                return
            except Stop as stop:
                if one.questions.gi_frame is None:
                    raise
                self._allow_to_close()
                one.ended(stop)

    def _allow_to_close(self):
        """A little more time, once for all trials, to finish those that have run out of time."""
        if self.deadline.at <= self.ends:
            self.deadline.at = max(self.ends, clock.now() + GRACE * self.max_seconds)

    def _read(self, alike):
        """Answer questions of one kind about the same rows by one read."""
        first, rows = alike[0], alike[0].objective.rows
        reads = first.objective.reads(first.question)
        new = any(one.trial.best is None for one in alike)  # a first evaluation is finished in any case
        before, self.deadline.at = self.deadline.at, math.inf if new else self.deadline.at
        try:
            if not new and clock.now() > self.ends:
                raise Stop(MAX_SECONDS)
            if not new and reads > self.reads_left:
                raise Stop(MAX_PASSES)
            pass_ = beside([one.objective.to_pass(one.question) for one in alike])
            with self._threads_for(rows, first.question), rows.backend.limit_threads():
                sums = parted(rows.sum(pass_), len(alike))
        except Stop as stop:
            for one in alike:
                one.ended(stop)
            return
        finally:
            self.deadline.at = before
        self.n_passes += reads
        for one, own in zip(alike, sums, strict=True):
            one.told(one.objective.from_sums(one.question, own))

    def _answer(self, trial, question):
        common = self._common.get(trial.objective)
        match question:
            case ask.Draw(ask.Sample() | ask.Witnesses() as what):
                key, drawn = self._drawn(trial.objective.rows, what)
                metric = isinstance(what, ask.Sample) and what.at is not None
                if drawn is None:
                    return None
                on = common.on if common and metric else on_rows
                lent = on(drawn, trial.objective)
                self._lent[lent] = key
                return lent
            case ask.Curvature(form=ask.SOLVE, on=on) if common and common.has(on):
                with self._threads_for(on.rows, question), on.rows.backend.limit_threads():
                    return common.solve(question)
        return super()._answer(trial, question)

    def _drawn(self, rows, what):
        """Rows for all trials that want about this many, drawn independently of any one model's margins, and
        their key in `_draws`."""
        size = what.size
        if size < math.inf:
            size = float(round(_LADDER ** math.ceil(math.log(max(size, 1), _LADDER))))
        is_sample = isinstance(what, ask.Sample)
        if not is_sample:
            size = rows.rows_of_proof(size)
        key = (type(what), what.size, what.seed, what.by_norms) if is_sample else (type(what), size)
        if key not in self._draws:
            reads = (
                rows.reads_to_draw(what.size, is_sample and what.by_norms) if 2 * size < rows.n_rows else 0
            )
            if reads > self.reads_left:
                raise Stop(MAX_PASSES)
            self._let_go(min(_KEPT * rows.n_rows, rows.most_kept))
            with rows.backend.limit_threads():
                if is_sample:
                    drawn = rows.draw(
                        what.size, what.seed, self._even(rows) if what.by_norms else None, what.by_norms
                    )
                else:  # evenly spaced rows may all be outside of a split that is defined by row numbers
                    drawn = rows.witnesses(size, 0, self._even(rows) if 2 * size < rows.n_rows else None)
            self.n_passes += 0.0 if drawn is None else drawn.cost
            self._draws[key] = drawn
        return key, self._draws[key]

    def _let_go(self, most):
        """Limit the bytes of kept draws: large ones are dropped first, since few trials ask for them.

        Those that a trial still holds, such as one that waits for a read in the middle of a proof, are kept:
        dropping them would free nothing, and the next trial would draw the same rows once more.
        """
        sizes = {key: drawn.gathered_bytes for key, drawn in self._draws.items() if drawn is not None}
        held = set(self._lent.values())
        for key in sorted(sizes, key=sizes.__getitem__, reverse=True):
            if sum(sizes.values()) <= most:
                return
            if key in held:
                continue
            del self._draws[key], sizes[key]

    def _even(self, rows):
        return rows.row_vector(np.broadcast_to(np.float32(1), rows.n_rows))


def on_rows(rows, objective):
    """The same objective on rows that were drawn from its rows."""
    (model,) = objective.models
    if rows.share == 0:
        rows, model = rows.of_model(model), None
    return Objective(
        rows, objective.loss, objective.penalty, objective.fit_intercept, model, objective.weight_sum
    )


def under(objective, penalty):
    """The same objective under another penalty."""
    known = objective.fit_intercept, None, objective.weight_sum
    return Objective(objective.rows, objective.loss, penalty, *known)


def of_all_splits(objectives, drawn):
    """The common objective of models of one target with nearly equal penalties, on gathered rows of all of
    them."""
    first = objectives[0]
    (model,) = first.models
    if any(objective.models != first.models for objective in objectives):
        model = model._replace(split=None)
    rows = drawn.of_model(model)
    weight_sum = float(rows.sweep(WeightSum((Model(),)))[0])
    return Objective(rows, first.loss, first.penalty, first.fit_intercept, weight_sum=weight_sum)


def _is_shared(one):
    question = one.question
    of_sums = isinstance(question, ask.Evaluate | ask.HessianVector) or (
        isinstance(question, ask.Curvature) and question.form == ask.DIAGONAL
    )
    several = isinstance(question, ask.HessianVector) and question.v.ndim == 2
    return of_sums and not several and one.objective.rows.share > 0


def _groups(live):
    """Trials whose questions are of one kind about the same rows, in the order of the first of each."""
    groups: dict = {}
    for one in live:
        key = type(one.question), id(one.objective.rows), getattr(one.question, "diagonal", None)
        groups.setdefault(key, []).append(one)
    return groups.values()
