"""Displays that scikit-learn lacks: coefficients with intervals, regularisation paths, and convergence."""

import math
from typing import Any

import numpy as np

from .drawing import COLOURS, INK, MUTED, axes_of

_FLOOR = 1e-16  # a suboptimality of zero is drawn here on a logarithmic axis


class ConvergenceDisplay:
    """Distance of the evaluations of a fit from the optimum, against reads of X.

    Parameters
    ----------
    n_passes : array (n_evaluations,)
        Reads of X up to the end of each evaluation.
    suboptimality : array (n_evaluations,)
        (F − F*)/F, with the F* that the fit's end estimates.
    tol, bound : float or None
        The requested distance, and the proven distance of the last point.
    name : str or None
        The label in the legend.
    """

    def __init__(self, n_passes: Any, suboptimality: Any, *, tol=None, bound=None, name=None) -> None:
        self.n_passes, self.suboptimality = np.asarray(n_passes), np.asarray(suboptimality)
        self.tol, self.bound, self.name = tol, bound, name

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, name: Any = None, proof: bool = True, ax: Any = None, **line: Any
    ) -> Any:
        """Draw the history of a fitted estimator.

        Parameters
        ----------
        estimator : LogisticRegression
            Fitted by this package: an imported model has no history.
        name : str or None
            None means the name of the solver.
        proof : bool
            Whether `tol` and the proven bound are drawn.
        ax : matplotlib.axes.Axes or None
        **line
            Arguments of `Axes.plot`.

        Returns
        -------
        ConvergenceDisplay
            Drawn: it has `ax_`, `figure_` and `line_`.

        Raises
        ------
        ValueError
            The estimator has no history.
        """
        if not getattr(estimator, "history_", None):
            raise ValueError("`estimator` has no history of a fit; expected one that `fit` was called on.")
        values = np.array([record.value for record in estimator.history_])
        least = values[-1] * (1 - min(estimator.suboptimality_, 1.0))
        least = min(least, values.min())
        gaps = np.maximum((values - least) / abs(least) if least else values, _FLOOR)
        display = cls(
            [record.n_passes for record in estimator.history_],
            gaps,
            tol=estimator.tol if proof else None,
            bound=estimator.suboptimality_bound_ if proof else None,
            name=name or str(estimator.solver_),
        )
        return display.plot(ax, **line)

    def plot(self, ax: Any = None, *, name: Any = None, **line: Any) -> Any:
        """Draw the distances on a logarithmic axis.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or None
            None makes a figure.
        name : str or None
            The label in the legend, in place of the display's.
        **line
            Arguments of `Axes.plot`.

        Returns
        -------
        ConvergenceDisplay
            This one, with `ax_`, `figure_` and `line_`.
        """
        self.ax_ = ax = axes_of(ax)
        self.figure_ = ax.figure
        given = {"marker": "o", "markersize": 4, "label": name or self.name, **line}
        (self.line_,) = ax.plot(self.n_passes, self.suboptimality, **given)
        if self.bound is not None and 0 < self.bound < math.inf:
            ax.plot(
                self.n_passes[-1:],
                [self.bound],
                marker="v",
                markersize=7,
                linestyle="none",
                color=self.line_.get_color(),
                label=f"proven at the end: {self.bound:.1e}",
            )
        if self.tol:
            ax.axhline(self.tol, color=MUTED, linestyle="--", linewidth=1, label=f"requested: {self.tol:g}")
        ax.set(yscale="log", xlabel="reads of X", ylabel="(F − F*) / F")
        ax.legend()
        return self


class ForestDisplay:
    """Forest plot: coefficients with their intervals, one below the other.

    Parameters
    ----------
    names : sequence of str
    estimates : array (n,)
    lower, upper : array (n,) or None
        The ends of the intervals, if there are any.
    """

    def __init__(self, names: Any, estimates: Any, lower: Any = None, upper: Any = None) -> None:
        self.names, self.estimates = [str(name) for name in names], np.asarray(estimates, dtype=float)
        self.lower, self.upper = lower, upper

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        inference: Any = None,
        *,
        output: int = 0,
        top: int = 20,
        feature_names: Any = None,
        ax: Any = None,
    ) -> Any:
        """Draw the largest coefficients of a fitted estimator or, with intervals, those with the largest |z|.

        Parameters
        ----------
        estimator : LogisticRegression
        inference : Inference or None
            The inference of this estimator; None draws no intervals.
        output : int
            For more than two classes, a row of `coef_`; with `inference`, one of `outcomes`.
        top : int
            Largest number of coefficients.
        feature_names : sequence of str or None
            None means the estimator's; with `inference`, the names are always those of the inference.
        ax : matplotlib.axes.Axes or None

        Returns
        -------
        ForestDisplay
            Drawn: it has `ax_` and `figure_`.
        """
        if inference is not None:
            return cls.from_table(inference.table().to_dict(), output=output, top=top, ax=ax)
        names = getattr(estimator, "feature_names_in_", None) if feature_names is None else feature_names
        coef = np.asarray(estimator.coef_[output], dtype=float)
        names = [f"x{j}" for j in range(len(coef))] if names is None else list(names)
        chosen = np.argsort(-np.abs(coef), kind="stable")[:top]
        return cls([names[j] for j in chosen], coef[chosen]).plot(ax)

    @classmethod
    def from_table(cls, table: Any, *, output: int = 0, top: int = 20, ax: Any = None) -> Any:
        """Draw a table of coefficients, without the intercept, the largest |coef/std err| first.

        Parameters
        ----------
        table : dict
            The result of `Inference.table().to_dict()`.
        output, top, ax
            As for `from_estimator`.

        Returns
        -------
        ForestDisplay
            Drawn: it has `ax_` and `figure_`.
        """
        outcomes = table.get("outcome", [""] * len(table["coef"]))
        wanted = list(dict.fromkeys(outcomes))[output]
        rows = [
            i
            for i, (outcome, name) in enumerate(zip(outcomes, table["name"], strict=True))
            if outcome == wanted and name != "const"
        ]
        low, high = (next((name for name in table if mark in name), None) for mark in ("[", "]"))
        coef, error = np.array(table["coef"], dtype=float), np.array(table["std err"], dtype=float)
        sureness = np.abs(coef) / np.where(error > 0, error, np.inf)
        rows = sorted(rows, key=lambda i: -sureness[i])[:top]
        ends = [None if end is None else np.array(table[end], dtype=float)[rows] for end in (low, high)]
        return cls([table["name"][i] for i in rows], coef[rows], *ends).plot(ax)

    def plot(self, ax: Any = None, **points: Any) -> Any:
        """Draw the coefficients, the first name at the top.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or None
            None makes a figure.
        **points
            Arguments of `Axes.errorbar`.

        Returns
        -------
        ForestDisplay
            This one, with `ax_` and `figure_`.
        """
        self.ax_ = ax = axes_of(ax)
        self.figure_ = ax.figure
        places = np.arange(len(self.names))
        reach = None
        if self.lower is not None:
            reach = np.abs(np.stack([self.estimates - self.lower, self.upper - self.estimates]))
        ax.errorbar(
            self.estimates, places, xerr=reach, fmt="o", **{"color": COLOURS[0], "markersize": 5, **points}
        )
        ax.axvline(0, color=INK, linewidth=0.8)
        ax.set_yticks(places, [_short(name) for name in self.names], parse_math=False)
        ax.set(ylim=(len(self.names) - 0.4, -0.6), xlabel="coefficient (log odds)")
        ax.tick_params(axis="y", length=0)
        ax.grid(axis="y", linewidth=0.6)
        return self


class PathDisplay:
    """Coefficients against C.

    Parameters
    ----------
    Cs : array (n_cs,)
    coef : array (n_cs, n_features)
    names : sequence of str or None
        Names of the features; the five largest coefficients are named in the legend.
    """

    def __init__(self, Cs: Any, coef: Any, names: Any = None) -> None:
        order = np.argsort(Cs)
        self.Cs, self.coef, self.names = np.asarray(Cs)[order], np.asarray(coef)[order], names

    @classmethod
    def from_path(cls, path: Any, *, names: Any = None, ax: Any = None) -> Any:
        """Draw a path; for more than two classes, the lines of every class.

        Parameters
        ----------
        path : RegularizationPath
            The result of `logistic_regression_path`.
        names : sequence of str or None
            Names of the features.
        ax : matplotlib.axes.Axes or None

        Returns
        -------
        PathDisplay
            Drawn: it has `ax_`, `figure_` and `lines_`.
        """
        return cls(path.Cs, path.coef.reshape(len(path.Cs), -1), names).plot(ax)

    def plot(self, ax: Any = None, **line: Any) -> Any:
        """Draw a line for each coefficient.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or None
            None makes a figure.
        **line
            Arguments of `Axes.plot`.

        Returns
        -------
        PathDisplay
            This one, with `ax_`, `figure_` and `lines_`.
        """
        self.ax_ = ax = axes_of(ax)
        self.figure_ = ax.figure
        self.lines_ = ax.plot(self.Cs, self.coef, **line)
        if self.names is not None:
            largest = np.argsort(-np.abs(self.coef[-1]), kind="stable")[:5]
            ax.legend([self.lines_[j] for j in largest], [_short(self.names[j]) for j in largest])
        ax.axhline(0, color=MUTED, linewidth=0.8)
        ax.set(xscale="log", xlabel="C", ylabel="coefficient")
        return self


def _short(name, most=28):
    """A name, shortened so that it leaves room for the figure."""
    name = str(name)
    return name if len(name) <= most else f"{name[: most - 1]}…"
