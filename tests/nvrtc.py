"""NVIDIA's run-time compiler without a GPU or a driver.

It turns CUDA C++ into machine code, and tells what each kernel takes of the GPU.
"""

import ctypes
import functools
import importlib.util
import re
from pathlib import Path
from typing import NamedTuple

# what CuPy passes for a RawModule with -std=c++17
FLAGS = ["-std=c++17", "-ftz=true", "--device-as-default-execution-space", "--ptxas-options=-v"]


class Resources(NamedTuple):
    registers: int  # of a thread
    spilled: int  # bytes a thread writes to local memory for want of registers
    shared: int  # bytes of a block, static


class CompileError(Exception):
    """The compiler refused the source: its own words."""


@functools.cache
def _library():
    spec = importlib.util.find_spec("nvidia")
    for place in spec.submodule_search_locations if spec else ():
        for library in sorted(Path(place).glob("*/lib/libnvrtc.so.1[23]")):
            for builtins in library.parent.glob("libnvrtc-builtins.so.1*"):
                ctypes.CDLL(
                    str(builtins), mode=ctypes.RTLD_GLOBAL
                )  # the wheel of 13.0 does not look beside itself
            return ctypes.CDLL(str(library))
    return None


def why_not():
    """None where there is a compiler, or a sentence that says what is missing."""
    return None if _library() else "no NVRTC: pip install 'logreg-accel[test]' brings it, on Linux"


def compile(source, kernels, architecture):
    """Resources of each kernel (a name expression) in the machine code for an architecture such as "sm_90".

    Raises
    ------
    CompileError
        An error, or a warning.
    """
    library = _library()
    program = ctypes.c_void_p()
    _check(library.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"kernel.cu", 0, None, None))
    try:
        for kernel in kernels:
            _check(library.nvrtcAddNameExpression(program, kernel.encode()))
        options = [f"-arch={architecture}".encode(), *(flag.encode() for flag in FLAGS)]
        failed = library.nvrtcCompileProgram(
            program, len(options), (ctypes.c_char_p * len(options))(*options)
        )
        log = _text(library.nvrtcGetProgramLogSize, library.nvrtcGetProgramLog, program)
        if failed or "warning" in log:
            raise CompileError(log)
        size = ctypes.c_size_t()
        _check(library.nvrtcGetCUBINSize(program, ctypes.byref(size)))
        assert size.value > 0
        lowered = {}
        for kernel in kernels:
            name = ctypes.c_char_p()
            _check(library.nvrtcGetLoweredName(program, kernel.encode(), ctypes.byref(name)))
            lowered[name.value.decode()] = kernel
    finally:
        library.nvrtcDestroyProgram(ctypes.byref(program))
    return {lowered[name]: resources for name, resources in _resources(log) if name in lowered}


def _resources(log):
    for report in re.split(r"Compiling entry function ", log)[1:]:
        name = re.match(r"'(\w+)'", report)[1]
        shared = re.search(r"(\d+) bytes smem", report)
        yield (
            name,
            Resources(
                int(re.search(r"Used (\d+) registers", report)[1]),
                int(re.search(r"(\d+) bytes spill stores", report)[1]),
                int(shared[1]) if shared else 0,
            ),
        )


def _text(size_of, read, program):
    size = ctypes.c_size_t()
    _check(size_of(program, ctypes.byref(size)))
    buffer = ctypes.create_string_buffer(size.value)
    _check(read(program, buffer))
    return buffer.value.decode()


def _check(code):
    if code:
        library = _library()
        library.nvrtcGetErrorString.restype = ctypes.c_char_p
        raise RuntimeError(library.nvrtcGetErrorString(code).decode())
