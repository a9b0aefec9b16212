"""Tests by their χ² statistics, and quantiles of the normal distribution."""

from typing import NamedTuple

import numpy as np
from scipy.special import chdtrc, ndtri


class Test(NamedTuple):
    """A test of a hypothesis: its χ² statistic, p-value and degrees of freedom."""

    statistic: float
    pvalue: float
    df: int


def quantile(alpha):
    """The number of standard errors to each side of an interval with coverage 1 − alpha."""
    if not (np.isscalar(alpha) and np.isreal(alpha) and 0 < alpha < 1):
        raise ValueError(f"`alpha` is {alpha!r}; expected a number between 0 and 1.")
    return -ndtri(alpha / 2)


def chi2(statistic, df):
    """The p-value of a χ² statistic."""
    return float(chdtrc(df, max(statistic, 0.0))) if df > 0 else float("nan")


def wald(R, r, theta, V):
    """The Wald test of R·θ = r, with V the covariance of θ.

    Raises
    ------
    ValueError
        There are no restrictions, some are zero or depend on others, or r is not one number per restriction.
    """
    if not len(R):
        raise ValueError("`R` is empty; expected names of columns, or a row for every restriction.")
    given, r = r, np.asarray(r, dtype=np.float64)
    if r.shape not in ((), (1,), (len(R),)) or not np.isfinite(r).all():
        raise ValueError(
            f"`r` is {given!r}; expected a finite number, or one for each of {len(R)} restrictions."
        )
    middle, short = R @ V @ R.T, R @ theta - r
    spread = np.sqrt(middle.diagonal())
    if not (spread > 0).all():
        raise ValueError(
            f"`R` has a restriction that involves no parameter, {R[~(spread > 0)][0].tolist()}; leave it out."
        )
    if np.linalg.matrix_rank(middle / np.outer(spread, spread)) < len(R):
        raise ValueError("`R` has restrictions that depend on each other; leave out those that follow.")
    statistic = float(short @ np.linalg.solve(middle, short))
    return Test(statistic, chi2(statistic, len(R)), len(R))
