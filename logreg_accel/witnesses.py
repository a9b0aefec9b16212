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
_WORK = 1 << 33  # multiplications up to which a Hessian of all rows is made where some did not do


def all_move(m, size):
    """Whether a proof moves all of m rows."""
    return size <= 2 or m <= _ALL_UP_TO * size


def most_of(m, size, per_parameter):
    """How many rows are worth moving."""
    return max(per_parameter * size, _READS * m / size)


def numbers(m, size, needed, per_parameter, fewest, cheap):
    """The numbers to try in turn; inf for all, none where too many are needed.

    Parameters
    ----------
    m, size : int
        Rows and parameters.
    needed : float
        What is to be proven, about, beside the bound that is wanted; nan where no estimate is known.
    per_parameter, fewest : float
        Rows that may be moved per parameter, and that have to be.
    cheap : bool
        Whether all rows cost next to nothing.
    """
    if all_move(m, size):
        return [math.inf]
    most = most_of(m, size, per_parameter)
    wanted = most if math.isnan(needed) else size + _ROOM * needed * m
    if wanted > most:
        return []
    wanted, tried = max(wanted, min(fewest * size, most)), []
    while wanted < most:
        tried.append(wanted)
        wanted = min(4 * wanted, most)
    some_did_not_do = not math.isnan(needed) and m * size * size <= _WORK
    return [*tried, most, *([math.inf] if cheap or some_did_not_do else [])]
