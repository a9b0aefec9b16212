"""Tiles of X in the dtype of the arithmetic: X itself where it is stored so, else converted into scratch.

float16 and bfloat16 have no type in Numba on the CPU. They come as their bits, in uint16 and int16, and only ever with
float32 arithmetic (true 16-bit integers come with float64). Converting a tile once, in the cache, and then running the
one float32 loop costs less than converting in both products, and keeps the loops free of dtypes.
"""

import platform

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic, overload

LOOP = {"nogil": True, "cache": True, "error_model": "numpy", "fastmath": {"reassoc", "contract"}}


@njit(**LOOP)
def _convert(stored, out):
    for j in range(out.size):
        out[j] = stored[j]


@intrinsic
def _extend_half(typing_context, bits):
    """The float32 of a float16's bits, by the processor's own instruction."""

    def generate(context, builder, signature, arguments):
        return builder.fpext(builder.bitcast(arguments[0], ir.HalfType()), ir.FloatType())

    return types.float32(types.uint16), generate


@njit(**LOOP)
def _convert_half_by_instruction(stored, out):
    for j in range(out.size):
        out[j] = _extend_half(stored[j])


@njit(**LOOP)
def _convert_half_by_bits(stored, out):
    """The exponent moves from 5 bits to 8 by a multiplication with 2^112, exact for subnormal numbers too; inf and NaN
    are told by their exponent of all ones."""
    bits = out.view(np.int32)
    for j in range(out.size):
        h = np.int32(stored[j])
        b = np.int32((h & np.int32(0x7FFF)) << np.int32(13))
        b = np.int32(b | np.int32(0x7F800000)) if b >= np.int32(0x0F800000) else b
        bits[j] = b | np.int32((h & np.int32(0x8000)) << np.int32(16))
    for j in range(out.size):
        out[j] *= np.float32(5.192296858534828e33)


def _has_half_instruction():
    """Without one, LLVM calls a library function that Numba does not link. By bits it takes three times as long."""
    features = llvmlite.binding.get_host_cpu_features()
    return bool(features.get("f16c")) or platform.machine() in ("aarch64", "arm64")


_convert_half = _convert_half_by_instruction if _has_half_instruction() else _convert_half_by_bits


@njit(**LOOP)
def _convert_bfloat(stored, out):
    """A bfloat16 is the upper half of a float32."""
    bits = out.view(np.int32)
    for j in range(out.size):
        bits[j] = np.int32(stored[j]) << np.int32(16)


def _conversion(stored, arithmetic):
    """None where X is stored in the arithmetic's dtype."""
    if stored == arithmetic:
        return None
    halves = {types.uint16: _convert_half, types.int16: _convert_bfloat}
    return halves.get(stored, _convert) if arithmetic == types.float32 else _convert


def rows_of(A, lo, q, scratch):
    """Rows lo .. lo + q of A in scratch's dtype: (q, at least scratch.shape[1])."""


@overload(rows_of)
def _rows_of(A, lo, q, scratch):
    convert = _conversion(A.dtype, scratch.dtype)
    if convert is None:
        return lambda A, lo, q, scratch: A[lo : lo + q]

    def converted(A, lo, q, scratch):
        if A.shape[1] == scratch.shape[1]:  # one run of numbers: short rows would not fill a vector
            convert(A[lo : lo + q].reshape(-1), scratch[:q].reshape(-1))
        else:
            for i in range(q):
                convert(A[lo + i], scratch[i])
        return scratch[:q]

    return converted


def columns_of(A, lo, q, scratch):
    """An array (n, ·) in scratch's dtype, and the number of its column from which q hold columns lo .. lo + q of A."""


@overload(columns_of)
def _columns_of(A, lo, q, scratch):
    convert = _conversion(A.dtype, scratch.dtype)
    if convert is None:
        return lambda A, lo, q, scratch: (A, lo)

    def converted(A, lo, q, scratch):
        for j in range(scratch.shape[0]):
            convert(A[j][lo : lo + q], scratch[j][:q])
        return scratch, 0

    return converted
