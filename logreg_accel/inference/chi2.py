"""Tests by their χ² statistics, and quantiles of the normal distribution."""

from typing import NamedTuple

from scipy.special import chdtrc, ndtri


class Test(NamedTuple):
    """A test of a hypothesis: its χ² statistic, p-value and degrees of freedom."""

    statistic: float
    pvalue: float
    df: int


def quantile(alpha):
    """How many standard errors an interval that covers 1 − alpha reaches to each side."""
    if not 0 < alpha < 1:
        raise ValueError(f"`alpha` is {alpha!r}; expected a number between 0 and 1.")
    return -ndtri(alpha / 2)


def chi2(statistic, df):
    """The p-value of a χ² statistic."""
    return float(chdtrc(df, max(statistic, 0.0))) if df > 0 else float("nan")
