"""The choice of "auto" where reads are expensive, as those of rows from disk are.

There a step may compute more to save a read: samples are larger, and their Hessian is factored up to more
parameters. The choice depends on the source alone, never on the memory that a fit may take, so that the same
source gives the same bits with any sufficient memory.
"""

import dataclasses
from typing import NamedTuple

from .auto import SAMPLE_UP_TO_FEATURES_OF_CLASSES
from .proximal import prox_newton
from .subsampled import newton_subsampled

FACTORED_UP_TO = 3000  # parameters; beyond, a Hessian takes longer than the reads that it saves
_LEAST, _MOST = 12, 200  # rows of a sample for each parameter
_OF_ALL = 0.3  # largest share of the rows in a sample: with twice as many candidates, half would be the limit
_PRODUCTS = 160  # cost of a sample's Hessian, in reads without the disk: ten times as many as suit memory
# Bytes of a sample. It is held up to three times, in less than a half of the memory: a thirtieth of X has
# room where X is four times the memory, the others where it is the least that a source takes.
_SHARE, _BYTES = 1 / 30, 1 << 23


class Whole(NamedTuple):
    """A source.

    Attributes
    ----------
    n_rows, n_features, n_outputs : int
    nbytes : int
    entries : float
        Of a row.
    """

    n_rows: int
    n_features: int
    n_outputs: int
    nbytes: int
    entries: float


def sparing_reads(chosen, whole):
    """The solver, its name and the reason: those chosen for rows in memory, or what takes fewer reads."""
    solver, name, reason = chosen
    size = (whole.n_features + 1) * whole.n_outputs
    rows, most = _rows_per_parameter(whole, size), int(_OF_ALL * whole.n_rows / size)
    if isinstance(solver, prox_newton | newton_subsampled):
        usual = solver.rows_per_parameter
        more = max(rows, usual if most < _LEAST else min(usual, most))
        wider = (
            {"factored_up_to": FACTORED_UP_TO, "exact": False}
            if isinstance(solver, newton_subsampled)
            else {}
        )
        return dataclasses.replace(solver, rows_per_parameter=more, **wider), name, reason
    wide = whole.n_features > SAMPLE_UP_TO_FEATURES_OF_CLASSES
    # Where newton-cholesky is chosen rows are few, and its last step makes results agree to rounding.
    if name not in ("newton-cg", "lbfgs") or wide or most < _LEAST:
        return chosen
    reason = (
        f"{whole.n_rows / size:.0f} rows per parameter, and reads are expensive: a sample shows the curvature"
    )
    return newton_subsampled(max(rows, _LEAST), factored_up_to=FACTORED_UP_TO), "newton-subsampled", reason


def _rows_per_parameter(whole, size):
    """Rows of a sample for each parameter: as many as pay and fit into memory."""
    m = whole.n_rows
    room = max(_SHARE * whole.nbytes, _BYTES) / (whole.nbytes / m)
    worth = _PRODUCTS * m / (whole.entries * whole.n_outputs)
    return int(min(_OF_ALL * m, room, worth, _MOST * size) / size)
