"""How many rows a proof moves.

The bound is about m/(|S| − size) times the truth: the inverse of a Hessian of |S| rows is that much larger.
It takes size² operations a row.
"""

import math

ROWS_PER_PARAMETER = 16
"""So many rows a proof may move, unless a certificate says otherwise."""

FEWEST = 3
"""Rows per parameter; with fewer, their Hessian says too little about some directions."""

_ALL_UP_TO = 24  # rows per parameter
_READS = 2.5  # that a Hessian over so many times m/size rows costs, about
_ROOM = 1.2  # how far below `tol` a proof by some rows has to be expected before it is tried
_FEW = 1 << 18  # numbers of X up to which a tight bound costs next to nothing
_TINY = 1e-300
_WORK = 1 << 33  # multiplications up to which a Hessian of all rows is made where some did not do


def all_move(m, size):
    """Whether a proof moves all of m rows."""
    return size <= 2 or m <= _ALL_UP_TO * size


def fewest(has_l1):
    """Rows per parameter to begin with: under L1 the residuals have to be exact."""
    return ROWS_PER_PARAMETER if has_l1 else FEWEST


def among(sample, size):
    """The handle on a solver's sample where so many of its rows can be moved, else None."""
    return sample if sample is not None and size <= sample.rows.n_rows else None


def few(m, size):
    """Whether moving all rows costs next to nothing."""
    return m * size <= _FEW


def most_of(m, size, per_parameter):
    """How many rows are worth moving."""
    return max(per_parameter * size, _READS * m / size)


def reach(m, size, estimate, per_parameter):
    """About the bound that a proof by as many rows as are worth it comes to; nan where nothing is known."""
    return estimate if all_move(m, size) else estimate * max(m / most_of(m, size, per_parameter), 1.0)


def numbers(m, size, estimate, goals, per_parameter, fewest, cheap):
    """The numbers to try in turn; inf for all, none where too many are needed.

    They are for the first of the goals that is to be had, so that nothing is left to be made tighter.

    Parameters
    ----------
    m, size : int
        Rows and parameters.
    estimate : float
        What is to be proven, about; nan where nothing is known.
    goals : sequence of float
        Bounds that are wanted.
    per_parameter, fewest : float
        Rows that may be moved per parameter, and that have to be.
    cheap : bool
        Whether all rows cost next to nothing.
    """
    if all_move(m, size):
        return [math.inf]
    known, most = not math.isnan(estimate), most_of(m, size, per_parameter)
    wanted = (size + _ROOM * m * estimate / max(goal, _TINY) if known else most for goal in goals)
    wanted = next((number for number in wanted if number <= most), None)
    if wanted is None:
        return []
    wanted, tried = max(wanted, min(fewest * size, most)), []
    while wanted < most:
        tried.append(wanted)
        wanted = min(4 * wanted, most)
    some_did_not_do = known and m * size * size <= _WORK
    return [*tried, most, *([math.inf] if cheap or some_did_not_do else [])]
