"""The reports of a fit: a Record for every evaluation, a Verdict on every point, and a Solution at the
end."""

import math
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import blas

SEPARABLE = "separable"
ESTIMATED = "estimated"  # only an estimate is below `tol`, and no proof is possible


class Record(NamedTuple):
    """One evaluation, as kept in `history_`.

    Attributes
    ----------
    n_iter : int
        Steps accepted before this evaluation.
    n_passes : float
        Reads of X up to the end of this evaluation.
    value, gradient_norm : float
        F and ‖∇F‖₂.
    suboptimality : float
        Estimate of (F − F*)/F; nan for points that were not accepted.
    step : float
        ‖w − last accepted w‖₂.
    seconds : float
        Time since the start of the fit.
    gb_per_s : float
        Rate at which X was read.
    """

    n_iter: int
    n_passes: float
    value: float
    gradient_norm: float
    suboptimality: float
    step: float
    seconds: float
    gb_per_s: float


HEADINGS = " iter  passes           loss    |grad|  subopt.      step  seconds   GB/s"


def format_record(record):
    """Format a record as one line of the table whose header is `HEADINGS`."""
    return (
        f"{record.n_iter:5d} {record.n_passes:7.1f} {record.value:14.8g} {record.gradient_norm:9.2e} "
        f"{record.suboptimality:8.1e} {record.step:9.2e} {record.seconds:8.2f} {record.gb_per_s:6.1f}"
    )


class Verdict(NamedTuple):
    """The known relative suboptimality (F − F*)/F of a point.

    Attributes
    ----------
    estimate : float
        nan if nothing is known.
    bound : float
        Proven upper bound, at most 1; inf if no proof was tried.
    trusted : bool
        Whether the estimate has to suffice, because a proof would cost too many reads.
    """

    estimate: float
    bound: float = math.inf
    trusted: bool = False

    @property
    def suboptimality(self):
        """The estimate, which the proof may correct."""
        return min(1.0, self.bound if math.isnan(self.estimate) else min(self.estimate, self.bound))


UNKNOWN = Verdict(math.nan)


class Solution(NamedTuple):
    """The result of a run.

    `suboptimality` is an estimate; `bound` is rigorous, or inf if no bound is known. `separating` names the
    parameters that grow without end on separable data. `lower` is proven to be at most F*.
    """

    w: np.ndarray
    value: float
    gradient_norm: float
    suboptimality: float
    bound: float
    n_iter: int
    n_passes: float
    status: str
    history: Any
    separating: Any = None
    lower: float = 0.0


def norm_of(vector):
    """‖v‖₂ by BLAS, which scales and so does not overflow."""
    return float(blas.dnrm2(vector))
