"""A stand-in for CuPy over NumPy and the emulation: the whole cupy backend runs, launches included, where
there is no GPU.

"Device" memory is a NumPy array of its own type. As in CuPy it is not mixed with host arrays by accident, and
memory that was not written yet holds no numbers. Only what the backend uses is here.
"""

import contextlib
import ctypes
import functools
import hashlib
import json
import math
import sys
import tempfile
import threading
import types
from pathlib import Path
from unittest import mock

import numpy as np
import nvrtc

from . import cusolver, signatures
from .device_array import (
    API,
    NEED_A_SIZE,
    Device,
    DeviceArray,
    called,
    came_to_host,
    check_call,
    counts,
    on_device,
    owner_of,
    plain,
    refuse_host_arrays,
    sizes_to_host,
)
from .emulator import Launch, Program

__all__ = ["Device", "DeviceArray", "Kernels", "counts", "in_place_of_cupy", "sizes_to_host"]

FREE_BYTES = 8 << 30
OPT_IN = "MaxSharedMemoryPerBlockOptin"
TO_DEVICE, TO_HOST = 1, 2


class OutOfMemoryError(MemoryError):
    """As cupy.cuda.memory.OutOfMemoryError."""


def asarray(a, dtype=None):
    if isinstance(a, DeviceArray):
        return a if dtype is None else a.astype(dtype, copy=False)
    counts.update(["to the device", "allocations"])
    return DeviceArray(np.array(a, dtype=dtype))


def asnumpy(a):
    return came_to_host(a) if isinstance(a, DeviceArray) else np.asarray(a)


def empty(shape, dtype=float):
    counts["allocations"] += 1
    array = np.empty(shape, dtype=dtype)
    array.reshape(-1).view(np.uint8)[...] = 0xFF  # NaN, where the type has one
    return DeviceArray(array)


def empty_like(a):
    return empty(a.shape, a.dtype)


class Stream:
    """Does what it is given when somebody waits for it, and not before.

    A copy reads what its source then holds.
    """

    by_pointer: dict = {}

    def __init__(self, non_blocking=False):
        self.waiting = []
        self.ptr = len(self.by_pointer)
        self.by_pointer[self.ptr] = self

    def __enter__(self):
        _current.streams = [*streams_of_this_thread(), self]
        return self

    def __exit__(self, *error):
        assert _current.streams.pop() is self

    def add(self, work):
        self.waiting.append(work)

    def synchronize(self):
        counts["waits"] += 1
        self.do(len(self.waiting))

    def do(self, count):
        for _ in range(count):
            self.waiting.pop(0)()


_default, _current = Stream(), threading.local()


def streams_of_this_thread():
    """The default one and those entered, the current one last."""
    return getattr(_current, "streams", [_default])


def memcpy_async(to, source, nbytes, kind, stream):
    """A copy to the device is done at once, one from there when the stream is waited for."""
    counts["to the device" if kind == TO_DEVICE else "to the host"] += 1
    if kind == TO_DEVICE:
        ctypes.memmove(to, source, nbytes)
    else:
        Stream.by_pointer[stream].add(lambda: ctypes.memmove(to, source, nbytes))


class Event:
    def __init__(self, disable_timing=False):
        self.stream = None

    def record(self, stream):
        self.stream, self.last = stream, stream.waiting[-1] if stream.waiting else None

    def synchronize(self):
        if self.stream and self.last in self.stream.waiting:
            self.stream.do(self.stream.waiting.index(self.last) + 1)


class Kernels:
    """Compiled kernels by source and name, those that are `known` to others among them.

    What was not foreseen is compiled when it is first asked for.

    A hundred at once take 6 s, one alone takes 1 s.
    """

    def __init__(self, sanitizer=None, known=None):
        self.sanitizer = sanitizer
        self.programs = dict(known.programs) if known else {}
        self.launched = []
        self._kept = tempfile.TemporaryDirectory(prefix="logreg-accel-kernels-")
        self.folder = Path(self._kept.name)  # in place of the one in the user's cache

    def foresee(self, source, names, *sanitizer):
        """Compile those that are not known yet, together."""
        if names := sorted(name for name in set(names) if (source, name) not in self.programs):
            program = Program(source, names, *(sanitizer or [self.sanitizer]))
            self.programs |= {(source, name): program for name in names}

    def kernel(self, source, name):
        if (source, name) not in self.programs:
            self.foresee(source, [name])
        program = self.programs[source, name]

        return RawKernel(self, source, name, program)


class RawKernel:
    """A kernel that may be launched, with as much shared memory as was asked for beforehand."""

    max_dynamic_shared_size_bytes = 48 << 10

    def __init__(self, kernels, source, name, program):
        self.kernels, self.source, self.name, self.program = kernels, source, name, program

    def __call__(self, grid, block, arguments, *, shared_mem=0):
        check_sizes(grid, block)
        signatures.check(self.source, self.name, arguments)
        assert shared_mem <= self.max_dynamic_shared_size_bytes <= Device().attributes[OPT_IN]
        one = Launch(self.name, grid, block, tuple(_argument(a) for a in arguments), shared_mem)
        self.kernels.launched.append(one)
        counts["launches"] += 1
        self.program.run([one], seed=len(self.kernels.launched))


def check_sizes(grid, block):
    """Raise where a launch would be refused by every GPU."""
    most = 2**31 - 1, 65_535, 65_535
    assert all(0 < size <= limit for size, limit in zip(grid, most, strict=False)), f"a grid of {grid}"
    assert 0 < math.prod(block) <= 1024, f"blocks of {block}"


def _argument(a):
    if isinstance(a, DeviceArray):
        assert a.device == Device(), "a kernel was given memory of a device that is not the current one"
        # what a kernel may touch is the allocation, from the array's first number on
        owner = owner_of(a)
        flat = owner.reshape(-1, order="A").view(np.uint8)
        return flat[a.data.ptr - owner.ctypes.data :]
    assert a is None or isinstance(a, np.generic), (
        f"CuPy takes device arrays, NumPy scalars and None, not {type(a)}"
    )
    return a


_AS_IT_IS = {"ascontiguousarray"}  # gives its argument back where there is nothing to do


def _same(result, argument):
    return isinstance(argument, DeviceArray) and result.ctypes.data == argument.data.ptr


def _function(name):
    """One of CuPy's that does what NumPy's does."""
    function = getattr(np, name)

    @functools.wraps(function)
    def on_plain(*arguments, **keywords):
        if name not in API["ufuncs"]:
            check_call("functions", name, len(arguments), keywords)
        refuse_host_arrays(arguments)
        result = function(*map(plain, arguments), **keywords)
        if not (name in _AS_IT_IS and _same(result, arguments[0])):
            called(name, arguments)
        counts["waits"] += name in NEED_A_SIZE
        return on_device(result)

    return on_plain


class NVRTCError(RuntimeError):
    """As cupy.cuda.nvrtc.NVRTCError."""


def _compile_program(program, options):
    assert set(nvrtc.FLAGS[:3]) < set(options), "what CuPy passes, and what machine code was looked at with"
    program.options = options
    counts["compilations"] += 1
    name = "_Z" + hashlib.sha256(program.expression.encode()).hexdigest()[:8]
    program.name, code = name, {"name": name, "source": program.source, "expression": program.expression}
    program.code = json.dumps(code).encode() + b" "


def _nvrtc():
    """A compiler whose machine code is the source, to be compiled for the CPU when it is loaded."""
    return types.SimpleNamespace(
        NVRTCError=NVRTCError,
        getSupportedArchs=lambda: (75, 80, 90),
        createProgram=lambda source, name, headers, names: types.SimpleNamespace(source=source),
        addNameExpression=lambda program, expression: setattr(program, "expression", expression),
        compileProgram=_compile_program,
        getLoweredName=lambda program, expression: program.name,
        getCUBIN=lambda program: program.code[:-1],  # as CuPy's, which leaves out the last byte
        getPTX=lambda program: program.code[:-1],
        getProgramLog=lambda program: "",
        destroyProgram=lambda program: None,
    )


_FUNCTIONS = (
    "zeros full arange ascontiguousarray diagonal sqrt where isfinite concatenate cumsum searchsorted "
    "flatnonzero ldexp triu"
).split()


def _raw_module(kernels):
    """The class in place of cupy.RawModule, whose kernels run on the CPU."""

    class RawModule:
        def __init__(self, code=None, *, path=None, options=(), name_expressions=()):
            if path is None:  # as the benchmarks call it
                assert "-std=c++17" in options
                counts["compilations"] += 1
                self.kernels = {name: (code, name) for name in name_expressions}
            else:
                told = json.loads(Path(path).read_bytes().removesuffix(b"\0"))
                self.kernels = {told["name"]: (told["source"], told["expression"])}

        def get_function(self, name):
            return kernels.kernel(*self.kernels[name])

    return RawModule


def _cuda():
    """What stands in for cupy.cuda."""
    return types.SimpleNamespace(
        Device=Device,
        Stream=Stream,
        Event=Event,
        get_current_stream=lambda: streams_of_this_thread()[-1],
        device=types.SimpleNamespace(get_cusolver_handle=lambda: cusolver.HANDLE),
        nvrtc=_nvrtc(),
        runtime=types.SimpleNamespace(
            memGetInfo=lambda: (FREE_BYTES, FREE_BYTES),
            memcpyAsync=memcpy_async,
            memcpyHostToDevice=TO_DEVICE,
            memcpyDeviceToHost=TO_HOST,
        ),
        memory=types.SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
    )


def modules(kernels):
    """The modules to stand in for CuPy's, by name."""
    pool = types.SimpleNamespace(free_bytes=lambda: 0, free_all_blocks=lambda: None)
    cupy = types.ModuleType("cupy")
    for name in _FUNCTIONS:
        setattr(cupy, name, _function(name))
    vars(cupy).update(
        ndarray=DeviceArray,
        asarray=asarray,
        asnumpy=asnumpy,
        empty=empty,
        empty_like=empty_like,
        cuda=_cuda(),
        RawModule=_raw_module(kernels),
        from_dlpack=asarray,
        get_default_memory_pool=lambda: pool,
        float64=np.float64,
    )
    cupyx = types.ModuleType("cupyx")
    cupyx.empty_pinned = lambda shape, dtype: np.empty(shape, dtype)
    libs = types.ModuleType("cupy_backends.cuda.libs")
    libs.cublas = types.SimpleNamespace(CUBLAS_FILL_MODE_LOWER=cusolver.LOWER)
    libs.cusolver = cusolver
    return {"cupy": cupy, "cupyx": cupyx, "cupy_backends.cuda.libs": libs}


@contextlib.contextmanager
def in_place_of_cupy(kernels):
    """Where `import cupy` finds the stand-in, and the cupy backend can run."""
    from logreg_accel import backends
    from logreg_accel.kernels.cuda import caching

    rooms = ("", *(f".{path.stem}" for path in Path(backends.__file__).parent.glob("cupy/[!_]*.py")))
    ours = [f"logreg_accel.backends.cupy{room}" for room in rooms]
    names = [*ours, *modules(kernels)]
    before = {name: sys.modules.get(name) for name in names}
    really = backends.unusable
    sys.modules.update(modules(kernels))
    for name in ours:
        sys.modules.pop(name, None)
    try:
        with (
            mock.patch.object(backends, "unusable", lambda name: None if name == "cupy" else really(name)),
            mock.patch.object(caching, "folder", lambda: kernels.folder),
        ):
            yield
    finally:
        for name, module in before.items():
            sys.modules.pop(name, None)
            if module is not None:
                sys.modules[name] = module
