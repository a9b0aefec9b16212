"""By how much directions move rows towards their own classes, block by block.

The lead of a row over a class is the margin of its own class less that of the other one; with two classes,
the margin in favour of its own. Row vectors hold them, (rows, outputs) for each block, so that those of a
source take no more memory than its margins do.
"""

import numpy as np

from .backends.passes import Margins

LEAD = 40.0
"""Lead of a typical row that is separated: its loss is then less than a rounding error."""

_LONGEST, _NO_LOSS = 8, 1e-14  # multiples of a step that are tried, and a loss per row that does not count
MOVED = 1e-6  # share of the largest lead above which it is no rounding


def of_step(objective, step):
    """The change of all leads by a step, a row vector; inf for rows without weight, which may move as they
    like."""
    rows, at = objective.rows, objective.at
    steps = (step,) if rows.offset_scale is None else (step, np.zeros(at.size))
    margins = [rows.sum(Margins(at.columns(w))) for w in steps]

    def change(y, s, Z, start=None):
        ahead = _lead(objective.loss, y, Z)
        if start is not None:
            offset = _lead(objective.loss, y, start)
            ahead -= np.where(offset < np.inf, offset, 0)
        return _of_weight(ahead, s)

    return rows.vector(rows.each(change, *margins))


def reads_of_step(objective):
    """The reads that `of_step` takes."""
    return 1 + (objective.rows.offset_scale is not None)


def of_margins(objective, margins):
    """All leads at a point, a row vector; inf for rows without weight."""
    rows = objective.rows
    return rows.vector(rows.each(lambda y, s, Z: _of_weight(_lead(objective.loss, y, Z), s), margins))


def set_apart(objective, known):
    """The `known` row vector of the classes that are set apart from rows; of bool, and all False for None."""
    rows, k = objective.rows, objective.at.n_outputs
    return known or rows.vector(rows.each(lambda y, s: np.zeros((len(y), k), dtype=bool)))


def least(rows, ahead, apart, count):
    """The places row·outputs + class of the least finite leads, about so many, of classes not set apart."""
    places, values, start = np.zeros(0, dtype=int), np.zeros(0), 0
    for part in rows.each(_possible, ahead, apart):
        places = np.append(places, start + np.arange(part.size))
        values, start = np.append(values, part), start + part.size
        if len(values) > count:
            kept = np.argpartition(values, count)[:count]
            places, values = places[kept], values[kept]
    return places[np.isfinite(values)]


def extremes(rows, ahead, apart):
    """The least lead and the largest finite one, at least 0, of classes not set apart."""
    lowest, highest = np.inf, 0.0
    for part in rows.each(_possible, ahead, apart):
        lowest = min(lowest, part.min(initial=np.inf))
        highest = max(highest, _largest(part))
    return lowest, highest


def more_apart(rows, ahead, apart, share=0.0):
    """Where classes are set apart already, or leads are above a share of the largest finite one."""
    bar = share and share * max(rows.each(lambda y, s, lead: _largest(lead), ahead))
    return rows.vector(rows.each(lambda y, s, lead, gone: gone | (lead > bar), ahead, apart))


def long_enough(rows, lead, more, apart):
    """The multiple of a step after which the classes that it sets apart, `more` than `apart`, have next to no
    loss, unless other leads change, too."""
    times = 10.0 ** np.arange(_LONGEST)

    def loss(y, s, lead, more, apart):
        gains, rest = (lead[which & (lead < np.inf)] for which in (more & ~apart, ~more))
        return np.array([np.exp(-t * gains).sum() + (t * rest) @ (t * rest) / 8 for t in times])

    with np.errstate(over="ignore"):
        left = sum(rows.each(loss, lead, more, apart)) / rows.n_rows
    enough = np.flatnonzero(left <= _NO_LOSS)
    return times[enough[0] if len(enough) else np.argmin(left)]


def longer(ahead, apart, lead):
    """The multiple of large weights beside which a step lowers no lead that they gave below what is enough.

    The step may lower leads `apart` of which it took no notice. The weights are lengthened as far as that
    takes, but no more: margins have the rounding of the largest terms.
    """
    falls = apart & (lead < 0) & (ahead > 0)
    return float(((np.minimum(ahead, LEAD) - lead)[falls] / ahead[falls]).max(initial=1.0))


def beside(rows, far, ahead, apart, step, lead, times):
    """Large weights and a multiple of a step together, and the leads that they give."""
    step = times * step
    if ahead is None:  # no weights so far
        return step, rows.vector(rows.each(lambda y, s, lead: times * lead, lead))
    factor = max(rows.each(lambda y, s, a, gone, b: longer(a, gone, times * b), ahead, apart, lead))
    leads = rows.each(lambda y, s, a, b: factor * a + times * b, ahead, lead)
    return factor * far + step, rows.vector(leads)


def _possible(y, s, ahead, apart):
    return np.where(apart, np.inf, ahead).ravel()


def _largest(lead):
    return float(lead.max(where=lead < np.inf, initial=0.0))


def _lead(loss, y, Z):
    return loss.lead(Z, y).astype(np.float64)


def _of_weight(ahead, s):
    return ahead if s is None else np.where(s[:, None] > 0, ahead, np.inf)
