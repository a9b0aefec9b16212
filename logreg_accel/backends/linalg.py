"""Linear algebra on the host: symmetric systems, factored on one BLAS thread.

NumPy and SciPy each bring their own BLAS, and the idle, spinning threads of one slow down those of the other:
factoring a small matrix takes many times as long on two threads as on one.
"""

import numpy as np
import scipy.linalg

from .threads import blas_limit


def factor(H, rounding, xp=np, cholesky=None, to_host=np.asarray):
    """Factor a symmetric, positive semidefinite H (p, p).

    H is scaled to a unit diagonal, since the scales of columns may differ by orders of magnitude. Its
    diagonal is then lifted by `rounding`, the relative error of its entries; the lift grows tenfold until the
    Cholesky factorisation succeeds.

    Parameters
    ----------
    H : array (p, p) of xp
    rounding : float
    xp : array library
    cholesky : function A -> (v -> A⁻¹v)
        Raises LinAlgError unless A is positive definite.
    to_host : function

    Returns
    -------
    function v -> H⁻¹v
        For v (p,) or (p, k) on the host.

    Raises
    ------
    FloatingPointError
        H has entries that are not finite.
    """
    with blas_limit(1):
        diagonal = xp.diagonal(H)
        scale = 1 / xp.sqrt(xp.where(diagonal > 0, diagonal, 1))
        i = xp.arange(len(H))

        def lifted(lift):
            scaled = H * scale * scale[:, None]
            scaled[i, i] += lift
            return scaled

        solve = _first_factor(lifted, cholesky or host_cholesky, rounding)
        scale = to_host(scale)

    def solve_scaled(v):
        with blas_limit(1 if v.ndim > 1 else None):  # BLAS solves for one column on one thread anyway
            return (scale * solve((scale * v.T).T).T).T

    return solve_scaled


def host_cholesky(A):
    """Return a function v -> A⁻¹v on host vectors and matrices.

    Raises LinAlgError unless A is positive definite.
    """
    lower = scipy.linalg.cho_factor(A, lower=True, overwrite_a=True, check_finite=False)
    return lambda v: scipy.linalg.cho_solve(lower, v, check_finite=False)


def _first_factor(lifted, cholesky, lift):
    while True:
        try:
            return cholesky(lifted(lift))
        except np.linalg.LinAlgError:
            lift *= 10
            if not lift < 1e3:
                raise FloatingPointError("The Hessian has entries that are not finite.") from None
