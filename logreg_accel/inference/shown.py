"""What an Inference shows: tables, frames and the summary."""

from typing import Any

import numpy as np

from .chi2 import quantile
from .summary import summary_of
from .tables import P_VALUE, Summary, Table


class Shown:
    """The tables of an Inference, of whose attributes they are made."""

    params: Any
    bse: Any
    zvalues: Any
    pvalues: Any
    penalised: Any
    exog_names: Any
    outcomes: Any
    vcov: Any
    formula: Any

    def to_frame(self, backend: str | None = None) -> Any:
        """`table` as a frame, with a row for every parameter.

        Parameters
        ----------
        backend : "pandas", "polars", "pyarrow" or None
            None uses the first that is installed.

        Returns
        -------
        DataFrame or pyarrow.Table

        Raises
        ------
        ImportError
            None of them is installed.
        """
        return self.table().to_frame(backend)

    def table(self, alpha: float = 0.05) -> Table:
        """Coefficients, standard errors and, without a penalty, z, p-values and intervals.

        Parameters
        ----------
        alpha : float
            Intervals have coverage 1 − alpha.

        Returns
        -------
        Table
            A row for every parameter, class after class.

        Raises
        ------
        ValueError
            alpha is not between 0 and 1.
        """
        columns = {"coef": self.params, "std err": self.bse}
        if not self.penalised:
            low, high = self._edges(alpha)
            columns |= {"z": self.zvalues, P_VALUE: self.pvalues}
            columns |= {f"[{alpha / 2:g}": low, f"{1 - alpha / 2:g}]": high}
        flat = {name: column.T.ravel() for name, column in columns.items()}
        return Table(f"Coefficients ({self.vcov})", self._names(), flat, f"Covariance: {self.formula}")

    def odds_ratios(self, alpha: float = 0.05) -> Table:
        """Odds ratios exp(params) against the base class, with the exp of the ends of their intervals.

        Parameters
        ----------
        alpha : float
            Intervals have coverage 1 − alpha; with a penalty there are none.

        Returns
        -------
        Table
            A row for every parameter, class after class.

        Raises
        ------
        ValueError
            alpha is not between 0 and 1.
        """
        columns = {"odds ratio": np.exp(self.params).T.ravel()}
        if not self.penalised:
            low, high = (np.exp(edge).T.ravel() for edge in self._edges(alpha))
            columns |= {f"[{alpha / 2:g}": low, f"{1 - alpha / 2:g}]": high}
        return Table("Odds ratios", self._names(), columns, f"Covariance: {self.formula}")

    def summary(self, alpha: float = 0.05) -> Summary:
        """The summary in statsmodels' layout, which prints as text and shows as HTML in a notebook.

        Parameters
        ----------
        alpha : float
            Intervals have coverage 1 − alpha.

        Returns
        -------
        Summary

        Raises
        ------
        ValueError
            alpha is not between 0 and 1.
        """
        return summary_of(self, alpha)

    def _names(self):
        if self.params.ndim == 1:
            return {"name": self.exog_names}
        p = len(self.exog_names)
        outcomes = [str(outcome) for outcome in self.outcomes for _ in range(p)]
        return {"outcome": outcomes, "name": self.exog_names * len(self.outcomes)}

    def _edges(self, alpha):
        reach = quantile(alpha) * self.bse
        return self.params - reach, self.params + reach
