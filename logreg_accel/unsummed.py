"""Answers to the questions that are not the sums of one pass, and the reads that they cost."""

from dataclasses import replace

import numpy as np

from . import ascent, between, descent, duality, elimination, woodbury
from .backends import passes
from .backends.side_by_side import beside, parted
from .rows import RowSpace, of_columns
from .solvers import line_search
from .solvers import questions as ask

FORMS = {ask.BY_COLUMNS: descent.model, ask.BY_LEVELS: elimination.solve, ask.BY_ROWS: woodbury.solve}
"""Forms of Curvature that are found apart."""


def is_sum(question):
    """Whether an answer is made of the sums of one pass."""
    match question:
        case ask.Curvature(form=form):
            return form not in FORMS
        case ask.HessianVector(v=v):
            return v.ndim == 1
    return isinstance(question, ask.Evaluate)


def answer(objective, question):
    """The answer to a question about an objective's rows.

    Parameters
    ----------
    objective : Objective
    question : Curvature in one of `FORMS`, HessianVector with several vectors, Draw, LineMinimum,
        MarginChange, DualValue, Epoch or Combine

    Raises
    ------
    TypeError
        Another question.
    """
    match question:
        case ask.Curvature(form=form) if form in FORMS:
            return FORMS[form](objective, question)
        case ask.HessianVector():
            return _products(objective, question)
        case ask.Draw():
            return _drawn(objective, question.what)
        case ask.LineMinimum(start, end):
            slopes = between.slopes(objective, start, end)
            if objective.penalty.has_l1:  # which gradients are without
                return line_search.minimum(slopes, slopes(0.0)[0])
            return line_search.minimum(slopes, *line_search.ends(start, end))
        case ask.MarginChange(start, end, in_loss=in_loss):
            return (between.above if in_loss else between.change)(objective, start, end)
        case ask.DualValue(point, hope):
            return (
                duality.plain(objective, point, hope)
                if point.dual is None
                else ascent.bound(objective, point)
            )
        case ask.Epoch():
            return ascent.epoch(objective, question)
        case ask.Combine():
            return objective.rows.combine(question.u.reshape(-1, objective.loss.n_outputs)).ravel()
    raise TypeError(f"{type(question).__name__} is not a question about rows.")


def reads(objective, question):
    """Reads of all rows that such an answer costs; for a Sample, approximately."""
    rows = objective.rows
    match question:
        case ask.Draw(ask.Sample(size, by_norms=by_norms)):
            return rows.reads_to_draw(size, by_norms)
        case ask.Draw(ask.Witnesses(size, among=None)) if 2 * size < rows.n_rows:
            return rows.reads_to_draw(size)
        case ask.Draw(ask.RowSpace()) | ask.Combine():
            return 1
        case ask.Epoch(settle=settle):
            return (1 + settle) * ascent.offered(objective)
        case ask.DualValue(point):
            return int(point.dual is not None)
    return 0


def _products(objective, question):
    """The products with several vectors that a HessianVector asks for, (q, size), in one read."""
    each = [replace(question, v=v) for v in question.v]
    sums = objective.rows.sum(beside([objective.to_pass(one) for one in each]))
    return np.array([objective.from_sums(*one) for one in zip(each, parted(sums, len(each)), strict=True)])


def _drawn(objective, what):
    """The same objective on other rows that represent its rows, or a share of them; None without rows."""
    rows, penalty = objective.rows, objective.penalty
    if objective.models is not None and isinstance(what, ask.Batch | ask.RowSpace | ask.Columns):
        raise TypeError(f"{type(what).__name__} is not for one of several models; use another solver.")
    match what:
        case ask.Sample(size, seed, at, by_norms):
            drawn = rows.draw(size, seed, _mass(objective, at), by_norms)
        case ask.Witnesses(size, seed, at, None):
            drawn = rows.witnesses(size, seed, _mass(objective, at))
        case ask.Witnesses(size, among=sample):
            drawn = rows.of_sample(sample.rows, size)
        case ask.InFloat64(rounded):
            drawn = rows.in_float64(objective.fit_intercept)
            drawn = drawn.unrounded() if drawn is not None and not rounded else drawn
        case ask.Finer():
            drawn = None if objective.models else rows.finer()
        case ask.Unrounded():
            drawn = rows.unrounded()
        case ask.Columns(which):
            drawn, penalty = of_columns(rows, which), penalty.of_some(objective.at.numbers_of(which))
        case ask.Batch(numbers, n_batches):
            drawn = rows.batch(numbers, n_batches)
        case _:
            drawn = RowSpace(rows, objective.loss.n_outputs, penalty.one_ridge)
    if drawn is None:
        return None
    weight_sum = objective.weight_sum * (drawn.share if 0 < drawn.share < 1 else 1.0)
    model = None if objective.models is None else objective.models[0]
    return type(objective)(drawn, objective.loss, penalty, objective.fit_intercept, model, weight_sum)


def _mass(objective, at):
    if at is None or at.margins is None:
        return None
    return objective.rows.sweep(passes.CurvatureMass(at.margins, objective.loss, objective.models))
