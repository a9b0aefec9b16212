"""A stand-in for CuPy's calls of cuSOLVER, on addresses: as there, matrices lie by columns."""

import numpy as np
from scipy.linalg import lapack

LOWER = 0
HANDLE = object()


def _at(address, dtype, *shape):
    kind = np.ctypeslib.as_ctypes_type(np.dtype(dtype))
    count = int(np.prod(shape))
    return np.frombuffer((kind * count).from_address(address), dtype=dtype).reshape(shape, order="F")


def dpotrf_bufferSize(handle, uplo, n, A, lda):
    assert handle is HANDLE and uplo == LOWER and n == lda
    return 7


def dpotrf(handle, uplo, n, A, lda, work, room, info):
    assert room == dpotrf_bufferSize(handle, uplo, n, A, lda)
    _at(work, np.float64, room)[...] = np.nan
    matrix = _at(A, np.float64, n, n)
    factor, told = lapack.dpotrf(matrix, lower=1, clean=0)
    matrix[...], _at(info, np.int32, 1)[...] = factor, told


def dpotrs(handle, uplo, n, count, A, lda, B, ldb, info):
    assert handle is HANDLE and uplo == LOWER and n == lda == ldb
    columns = _at(B, np.float64, n, count)
    columns[...], _at(info, np.int32, 1)[...] = lapack.dpotrs(_at(A, np.float64, n, n), columns, lower=1)
