"""The kernels in kernels/cuda, compiled at first use, or loaded from where an earlier process left them."""

import functools
import importlib.metadata

import cupy

from ...kernels import cuda
from ...kernels.cuda import caching

REAL = {"float32": "float", "float64": "double"}
"""The CUDA C++ types of the arithmetic."""

_OPTIONS = ("-std=c++17", "-ftz=true", "--device-as-default-execution-space")  # those of CuPy's RawModule
_OF_COMPILERS = ("cupy", "cupy-cuda13x", "cupy-cuda12x", "nvidia-cuda-nvrtc", "nvidia-cuda-nvrtc-cu12")


def kernel(file, expression):
    """A kernel of kernels/cuda for the current device, given its file and name with template arguments."""
    return _kernel(file, expression, cupy.cuda.Device().compute_capability)


@functools.cache
def _kernel(file, expression, capability):
    source = cuda.source(file)
    key = source, expression, _OPTIONS, capability, _versions()
    compiled = caching.found(key) or caching.keep(key, *_compile(source, expression, int(capability)))
    return cupy.RawModule(path=compiled.path).get_function(compiled.name)


@functools.cache
def _versions():
    """The versions of CuPy and NVRTC, as far as they are known without loading a large library.

    An NVRTC that was installed without pip has none; what another one of those compiled is as good.
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
        # getCUBIN leaves out the last byte, a zero, which the driver finds behind CuPy's bytes in memory
        return nvrtc.getLoweredName(program, expression), read(program) + b"\0"
    except nvrtc.NVRTCError as error:
        raise RuntimeError(f"{expression}: {error}\n{nvrtc.getProgramLog(program)}") from None
    finally:
        nvrtc.destroyProgram(program)
