"""Numbers of X in the dtype of the arithmetic, converted in registers, each time they are used.

float16 and bfloat16 have no type in Numba on the CPU. They are passed as their bits, in uint16 and int16, and
only with float32 arithmetic (true 16-bit integers are passed with float64). Converting a tile only once, into
scratch memory for both products, is slower, because the scratch goes through the cache three times.
"""

import platform

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

from .caching import CACHE

LOOP = {"nogil": True, "cache": CACHE, "error_model": "numpy", "fastmath": {"reassoc", "contract"}}


@intrinsic
def _extend_half(typing_context, bits):
    """The float32 of a float16's bits, by the CPU's own instruction."""

    def generate(context, builder, signature, arguments):
        return builder.fpext(builder.bitcast(arguments[0], ir.HalfType()), ir.FloatType())

    return types.float32(types.uint16), generate


def half_by_instruction(x, like):
    return _extend_half(x)


def half_by_bits(x, like):
    """The exponent grows from 5 bits to 8 by a multiplication with 2^112, which is exact for subnormal
    numbers, too; inf and NaN are recognised by their exponent of all ones."""
    h = np.int32(x)
    bits = np.int32((h & np.int32(0x7FFF)) << np.int32(13))
    bits = np.int32(bits | np.int32(0x7F800000)) if bits >= np.int32(0x0F800000) else bits
    magnitude = np.int32(bits).view(np.float32) * np.float32(5.192296858534828e33)
    signed = np.float32(magnitude).view(np.int32) | np.int32((h & np.int32(0x8000)) << np.int32(16))
    return np.int32(signed).view(np.float32)


def has_half_instruction():
    """Whether the CPU has one: without it, LLVM calls a library function that Numba does not link."""
    features = llvmlite.binding.get_host_cpu_features()
    return bool(features.get("f16c")) or platform.machine() in ("aarch64", "arm64")


def bfloat(x, like):
    """A bfloat16 is the upper half of a float32."""
    return np.int32(np.int32(x) << np.int32(16)).view(np.float32)


def load(x, like):
    """x as it is stored, in the dtype of `like`."""


@overload(load, jit_options={"error_model": "numpy"})
def _load(x, like):
    if x == like:
        return lambda x, like: x
    if like == types.float64:
        return lambda x, like: np.float64(x)
    if x == types.uint16:
        return half_by_instruction if has_half_instruction() else half_by_bits
    if x == types.int16:
        return bfloat
    return lambda x, like: np.float32(x)
