"""The kernels in kernels/cuda, compiled at first use, or loaded from the cache of an earlier process.

Kernels that will be needed can be compiled ahead by several threads, since the compiler uses one CPU for one
kernel.
"""

import concurrent.futures
import functools
import importlib.metadata
import threading

import cupy

from ...kernels import cuda
from ...kernels.cuda import caching
from ..threads import usable_threads

REAL = {"float32": "float", "float64": "double"}
"""The CUDA C++ types of the arithmetic."""

_OPTIONS = ("-std=c++17", "-ftz=true", "--device-as-default-execution-space")  # those of CuPy's RawModule
_OF_COMPILERS = ("cupy", "cupy-cuda13x", "cupy-cuda12x", "nvidia-cuda-nvrtc", "nvidia-cuda-nvrtc-cu12")


_begun: dict = {}  # futures of what threads compile, by file, expression and capability
_lock = threading.Lock()


def kernel(file, expression):
    """A kernel of kernels/cuda for the current device, given its file and name with template arguments."""
    return _kernel(file, expression, cupy.cuda.Device().compute_capability)


def begin(expressions):
    """Have threads compile kernels, pairs of file and expression, while the caller goes on.

    Errors of the compiler appear where a kernel is asked for.
    """
    capability = cupy.cuda.Device().compute_capability
    with _lock:
        for what in sorted((*pair, capability) for pair in expressions):
            if what not in _begun:
                _begun[what] = _threads().submit(_compiled, *what)


@functools.cache
def _kernel(*what):
    begun = _begun.get(what)
    # A kernel that still waits for a thread is compiled here, since those before it may never be needed.
    under_way = begun is not None and not begun.cancel()
    compiled = begun.result() if under_way else _compiled(*what)
    return cupy.RawModule(path=compiled.path).get_function(compiled.name)


def _compiled(file, expression, capability):
    """The Compiled of a kernel, from the cache if it is there."""
    source = cuda.source(file)
    key = source, expression, _OPTIONS, capability, _versions()
    return caching.found(key) or caching.keep(key, *_compile(source, expression, int(capability)))


@functools.cache
def _threads():
    return concurrent.futures.ThreadPoolExecutor(usable_threads(), thread_name_prefix="logreg-accel-nvrtc")


@functools.cache
def _versions():
    """The versions of CuPy and NVRTC, as far as they are known without loading a large library.

    An NVRTC that was installed without pip has no version here; code compiled by another one works as well.
    """
    versions = []
    for name in _OF_COMPILERS:
        try:
            versions.append((name, importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            pass
    return tuple(versions)


def _compile(source, expression, capability):
    """The kernel's name in the machine code, and that code: for newer devices than NVRTC knows, PTX."""
    nvrtc = cupy.cuda.nvrtc
    known = [arch for arch in nvrtc.getSupportedArchs() if arch <= capability]
    kind, read = ("sm", nvrtc.getCUBIN) if capability in known else ("compute", nvrtc.getPTX)
    program = nvrtc.createProgram(source, "kernel.cu", (), ())
    try:
        nvrtc.addNameExpression(program, expression)
        nvrtc.compileProgram(program, (f"-arch={kind}_{max(known, default=capability)}", *_OPTIONS))
        # getCUBIN omits the last byte, a zero, which the driver reads beyond the end of CuPy's bytes.
        return nvrtc.getLoweredName(program, expression), read(program) + b"\0"
    except nvrtc.NVRTCError as error:
        raise RuntimeError(f"{expression}: {error}\n{nvrtc.getProgramLog(program)}") from None
    finally:
        nvrtc.destroyProgram(program)
