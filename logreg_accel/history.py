"""What is told of a fit: a Record for every evaluation, a Solution at the end."""

from typing import Any, NamedTuple

import numpy as np


class Record(NamedTuple):
    """One evaluation, as kept in `history_`.

    n_iter : accepted steps before it; n_passes : reads of X up to its end; value : F; gradient_norm : ‖∇F‖₂;
    suboptimality : estimate of (F − F*)/F, nan for points that were not accepted; step : ‖w − last accepted
    w‖₂;
    seconds : since the start of the fit; gb_per_s : rate at which X was read.
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
    """A line for a step, under `HEADINGS`."""
    return (
        f"{record.n_iter:5d} {record.n_passes:7.1f} {record.value:14.8g} {record.gradient_norm:9.2e} "
        f"{record.suboptimality:8.1e} {record.step:9.2e} {record.seconds:8.2f} {record.gb_per_s:6.1f}"
    )


class Solution(NamedTuple):
    """What a run found. `bound` is rigorous, or inf where there is no bound; `suboptimality` is an estimate."""

    w: np.ndarray
    value: float
    gradient_norm: float
    suboptimality: float
    bound: float
    n_iter: int
    n_passes: float
    status: str
    history: Any
