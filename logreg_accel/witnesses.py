"""How many rows a proof moves.

The bound by a set S of rows is about m/(|S| − size) times the true gap, because the inverse of the Hessian of
S is that much larger than that of all m rows. That Hessian takes size² operations per row.
"""

import math

ROWS_PER_PARAMETER = 16
"""Rows per parameter that a proof may move, unless a certificate sets another number."""

FEWEST = 3
"""Rows per parameter; with fewer, their Hessian is too inaccurate in some directions."""

_ALL_UP_TO = 24  # rows per parameter up to which all rows are moved
_READS = 2.5  # the cost, in reads, up to which the Hessian of the moved rows is always worth it
_ROOM = 1.2  # a proof by some rows is tried if its expected bound is below the goal by this factor
_FEW = 1 << 18  # numbers of X up to which a tight bound costs next to nothing
_TINY = 1e-300
_WORK = 1 << 33  # multiplications up to which a Hessian of all rows is formed if some rows did not suffice


def all_move(m, size):
    """Whether a proof moves all of m rows."""
    return size <= 2 or m <= _ALL_UP_TO * size


def fewest(has_l1):
    """Rows per parameter to begin with: more under L1, where the sums of residuals have to be exact."""
    return ROWS_PER_PARAMETER if has_l1 else FEWEST


def among(sample, size):
    """The handle on a solver's sample if it has at least `size` rows to move, else None."""
    return sample if sample is not None and size <= sample.rows.n_rows else None


def few(m, size):
    """Whether moving all rows costs next to nothing."""
    return m * size <= _FEW


def most_of(m, size, per_parameter):
    """How many rows are worth moving."""
    return max(per_parameter * size, _READS * m / size)


def reach(m, size, estimate, per_parameter):
    """Estimate the bound that a proof by as many rows as are worth moving gives; nan if nothing is known."""
    return estimate if all_move(m, size) else estimate * max(m / most_of(m, size, per_parameter), 1.0)


def numbers(m, size, estimate, goals, per_parameter, fewest, cheap):
    """Return the numbers of rows to try in turn; inf stands for all rows, [] for more than is worth it.

    They are for the first goal that can be reached.

    Parameters
    ----------
    m, size : int
        Rows and parameters.
    estimate : float
        The approximate gap; nan if nothing is known.
    goals : sequence of float
        The bounds that are wanted, the preferred one first.
    per_parameter, fewest : float
        The largest and the least number of rows per parameter.
    cheap : bool
        Whether moving all rows costs next to nothing.
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
