"""Kernels of ours, compiled by CuPy at first use."""

import functools

import cupy

from ...kernels import cuda

REAL = {"float32": "float", "float64": "double"}
"""Types of the arithmetic in CUDA C++."""


@functools.cache
def kernel(file, expression):
    """A kernel of kernels/cuda, by its file and its name with template arguments."""
    module = cupy.RawModule(code=cuda.source(file), options=("-std=c++17",), name_expressions=(expression,))
    return module.get_function(expression)
