"""Symmetric systems on the device: matrices out of sums, factored by cuSOLVER with the same bits every time.

CuPy's own functions would compile several kernels at first use: for scaling a matrix, for the zeros above a
factor, and for the check of cuSOLVER's status, which alone takes the compiler long. So cuSOLVER is called
directly.
"""

import cupy
import numpy as np

from ...kernels.cuda import shapes
from .. import linalg
from . import arrays
from .compiler import kernel

_MOST_BLOCKS = 8192


def diagonals(matrices):
    """See `CupyBackend.diagonals`."""
    return cupy.asnumpy(arrays.contiguous(matrices.diagonal(axis1=-2, axis2=-1)))


def mean_matrix(sums, size, weight, ridge):
    """The first `size` rows and columns of sums / weight, plus a ridge (size,) on the diagonal."""
    columns = sums.shape[1]
    H = sums if columns == size else cupy.empty((size, size), dtype=np.float64)
    ridge = cupy.asarray(ridge, dtype=np.float64)
    _start("mean_matrix", size * size, sums, np.int32(columns), np.int32(size), np.float64(weight), ridge, H)
    return H


def against_shifts(H, k, features):
    """As `metric.against_shifts`, for a matrix on the device."""
    if len(features):
        there = cupy.asarray(np.asarray(features, dtype=np.int32))
        launch = kernel("systems.cu", "against_shifts")
        launch((len(features),), (shapes.THREADS,), (H, np.int32(len(H)), np.int32(k), there))


def factor(H, rounding):
    """As `linalg.factor`, for a matrix on the device."""
    scaled, scale = cupy.empty_like(H), cupy.empty(len(H), dtype=np.float64)

    def lifted(lift):
        _start("unit_diagonal", H.size, H, np.int32(len(H)), np.float64(lift), scale, scaled)
        return scaled

    solve = linalg.first_factor(lifted, _raising_cholesky, rounding)
    scale = cupy.asnumpy(scale)
    return lambda v: (scale * solve((scale * v.T).T).T).T


def _raising_cholesky(A):
    found = cholesky(A)
    if found is None:
        raise np.linalg.LinAlgError("a pivot is not positive")
    return found[0]


def cholesky(A):
    """As `Backend.cholesky`, for a matrix on the device, which is overwritten."""
    # Imported here, because loading the libraries takes long and most fits do not need them.
    from cupy_backends.cuda.libs import cublas, cusolver

    p, handle, info = len(A), cupy.cuda.device.get_cusolver_handle(), cupy.empty(1, dtype=np.int32)
    lower = cublas.CUBLAS_FILL_MODE_LOWER
    room = cusolver.dpotrf_bufferSize(handle, lower, p, A.data.ptr, p)
    work = cupy.empty(room, dtype=np.float64)
    cusolver.dpotrf(handle, lower, p, A.data.ptr, p, work.data.ptr, room, info.data.ptr)
    diagonal = diagonals(A)
    if cupy.asnumpy(info)[0] or not np.isfinite(diagonal).all():
        return None

    def solve(v):
        columns = cupy.asarray(np.ascontiguousarray(v.T))  # in Fortran's order
        count = 1 if v.ndim == 1 else v.shape[1]
        cusolver.dpotrs(handle, lower, p, count, A.data.ptr, p, columns.data.ptr, p, info.data.ptr)
        return cupy.asnumpy(columns).T

    return solve, diagonal


def _start(name, threads, *arguments):
    blocks = min(-(-threads // shapes.THREADS), _MOST_BLOCKS)
    kernel("systems.cu", name)((blocks,), (shapes.THREADS,), arguments)
