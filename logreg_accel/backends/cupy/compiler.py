"""Compilation of the kernels in kernels/cuda by CuPy, at first use."""

import functools

import cupy

from ...kernels import cuda

REAL = {"float32": "float", "float64": "double"}
"""The CUDA C++ types of the arithmetic."""


@functools.cache
def kernel(file, expression):
    """Compile a kernel of kernels/cuda, given its file and its name with template arguments."""
    module = cupy.RawModule(code=cuda.source(file), options=("-std=c++17",), name_expressions=(expression,))
    return module.get_function(expression)
