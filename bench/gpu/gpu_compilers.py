"""Kernels compiled ahead of their launches, by processes beside the one that measures."""

import concurrent.futures
import contextlib
import multiprocessing
import os

from logreg_accel.backends.cupy import compiler


def compile_kernel(name):
    """Into the cache on disk; an error comes up again at the kernel's launch."""
    with contextlib.suppress(Exception):
        compiler.kernel("dense.cu", name)


@contextlib.contextmanager
def compilers(names):
    """A future for each kernel of dense.cu; what has not begun when the block ends is given up."""
    pool = concurrent.futures.ProcessPoolExecutor(
        min(12, os.cpu_count()), mp_context=multiprocessing.get_context("spawn")
    )
    try:
        yield {name: pool.submit(compile_kernel, name) for name in names}
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
