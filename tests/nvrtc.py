"""NVIDIA's run-time compiler without a GPU or a driver.

It turns CUDA C++ into machine code, and tells what each kernel takes of the GPU.
"""

import ctypes
import functools
import importlib.util
import os
import re
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

from once import once

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
    _, log, lowered = _compiled(source, kernels, architecture)
    return {lowered[name]: resources for name, resources in _resources(log) if name in lowered}


def loops(source, kernels, architecture):
    """The instructions of each kernel's longest loop, without operands: what a step over rows takes."""
    code, _, lowered = _compiled(source, kernels, architecture)
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(code)
        file.flush()
        told = subprocess.run([_disassembler(), "-c", file.name], capture_output=True, text=True, check=True)
    parts = re.split(r"\n//-+ \.text\.(\w+) ", told.stdout)
    return {lowered[name]: _longest_loop(text) for name, text in zip(parts[1::2], parts[2::2], strict=True)}


def _longest_loop(text):
    """From the target of a branch back to the branch; what is outlined lies behind the kernel's last EXIT."""
    instructions, labels = [], {}
    for line in text.splitlines():
        if label := re.match(r"(\.L_x_\d+):", line):
            labels[label[1]] = len(instructions)
        elif found := re.match(r"\s+/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][\w.]*)(.*)", line):
            instructions.append(found.groups())
    names = [name for name, _ in instructions]
    spans = []
    for i, (name, operands) in enumerate(instructions):
        target = labels.get((re.search(r"\.L_x_\d+", operands) or [None])[0], i + 1)
        if name == "BRA" and target <= i and "EXIT" not in names[target:i]:
            spans.append(names[target : i + 1])
    return max(spans, key=len)


@functools.cache
def _disassembler():
    spec = importlib.util.find_spec("nvidia")
    for place in spec.submodule_search_locations if spec else ():
        for program in Path(place).glob("*/bin/nvdisasm"):
            return program
    return None


def why_no_loops():
    """None where machine code can be read, or a sentence that says what is missing."""
    return why_not() or (
        None if _disassembler() else "no nvdisasm: pip install 'logreg-accel[test]' brings it, on Linux"
    )


def _compiled(source, kernels, architecture):
    library = _library()._name
    what = source, kernels, architecture, FLAGS, library, os.path.getmtime(library)
    return once(lambda: _machine_code(source, kernels, architecture), *what)


def _machine_code(source, kernels, architecture):
    """Machine code, the compiler's log, and kernels by their names in both."""
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
        code = ctypes.create_string_buffer(size.value)
        _check(library.nvrtcGetCUBIN(program, code))
        lowered = {}
        for kernel in kernels:
            name = ctypes.c_char_p()
            _check(library.nvrtcGetLoweredName(program, kernel.encode(), ctypes.byref(name)))
            lowered[name.value.decode()] = kernel
    finally:
        library.nvrtcDestroyProgram(ctypes.byref(program))
    return code.raw, log, lowered


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
