"""CUDA kernels on the CPU: compiled by g++ with emulation.h, run on NumPy arrays in a separate process."""

import contextlib
import ctypes
import functools
import os
import platform
import re
import shutil
import signal
import struct
import subprocess
import tempfile
import threading
import weakref
from pathlib import Path
from typing import NamedTuple

import numpy as np
from once import folder_of

HERE = Path(__file__).parent
FLAGS = [
    "-std=gnu++17",
    "-Og",
    "-g1",
    "-ffp-contract=off",
    "-Wall",
    "-Wno-unknown-pragmas",
    "-Wno-attributes",
    "-Winvalid-pch",
]
# Under a sanitizer kernels are not optimised: that would be half of a build, and their runs are short.
SANITIZERS = {
    None: [],
    "address": ["-O0", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
    "thread": ["-O0", "-fsanitize=thread"],
}
OPTIONS = {
    "ASAN_OPTIONS": "detect_leaks=0",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "TSAN_OPTIONS": "halt_on_error=1 atexit_sleep_ms=0",
}
ALIGNMENT = 256  # of every allocation on a GPU
SECONDS = 600
DATA, HUGE = 0, 1
NULL, POINTER, SCALAR = 0, 1, 2


def why_not():
    """None where the emulation can be built, or a sentence that says what is missing."""
    if platform.system() != "Linux":
        return "the emulation of CUDA runs on Linux"
    if shutil.which("g++") is None:
        return "the emulation of CUDA needs g++"
    return None


class CompileError(Exception):
    """g++ refused the kernels: its own words."""


class EmulationError(Exception):
    """A run ended by a fault: the heart of the report. All that the process said is in `report`."""

    def __init__(self, ending, report):
        self.report = report
        super().__init__(f"{ending}\n{_heart(report)}")


def _heart(report):
    """The report from its first complaint on; of the stacks, the frames in the kernels."""
    lines = [line for line in report.splitlines() if not re.match(r"=+$|\s*$|\s+#\d+ (?!.*\.cuh?:)", line)]
    complaint = re.compile(r"emulation: |runtime error: |(ERROR|WARNING): \w+Sanitizer: ")
    first = next((i for i, line in enumerate(lines) if complaint.search(line)), 0)
    last = next((i for i, line in enumerate(lines) if line.startswith("SUMMARY: ")), len(lines))
    return "\n".join(lines[first : min(last, first + 16)])


class Huge(NamedTuple):
    """An argument: so many zero bytes, read-only, without memory behind them."""

    nbytes: int


class Launch(NamedTuple):
    """One kernel launch.

    An argument is an array, a NumPy scalar, None (a null pointer) or Huge. grid and block are numbers or up
    to three.
    """

    kernel: str
    grid: int | tuple
    block: int | tuple
    args: tuple
    shared: int = 0


class Program:
    """Kernels compiled for the CPU, plain or with a sanitizer: "address" (bounds, undefined behaviour) or
    "thread" (races).

    `source` is CUDA C++, `kernels` the instantiations to run, such as "add<float, 4>". What was compiled once
    is found again by its content.
    """

    def __init__(self, source, kernels, sanitizer=None):
        self.sanitizer = sanitizer
        table = "".join(f'    {{"{name}", run<{name}>}},\n' for name in kernels)
        files = {
            "kernel.cu": f'#line 1 "kernel.cu"\n{source}\n',
            "kernels.cpp": '#include "replay.h"\n\n#include "kernel.cu"\n'
            f"namespace replay {{\nconst Kernel kernels[] = {{\n{table}    {{}},\n}};\n}}\n",
        }
        self.server, self.lock = None, threading.Lock()
        with folder_of(files, *_build(sanitizer)) as folder:
            self.path = folder / "replay"
            if not self.path.exists():
                for name, text in files.items():
                    (folder / name).write_text(text, encoding="utf-8")
                common, flags = _common(sanitizer), [*FLAGS, *SANITIZERS[sanitizer]]
                _gpp(
                    folder,
                    *flags,
                    f"-I{common}",
                    f"-I{HERE}",
                    "kernels.cpp",
                    common / "replay.o",
                    out=self.path,
                )

    def run(self, launches, seed=0):
        """Run the launches in order; then every writable array among the arguments holds what the kernels
        wrote.

        Arrays are passed as their memory: all views of one array share one buffer, from the first byte to the
        last that any of them covers. Raises EmulationError.
        """
        buffers = _Buffers(launch.args for launch in launches)
        count = struct.pack("<Q", len(launches))
        job = b"".join([buffers.packed(), count, *(_packed(launch, buffers) for launch in launches)])
        buffers.write_back(self._run(job, seed))

    def _run(self, job, seed):
        """What the buffers hold after a job."""
        with self.lock, self._place() as folder:
            (path := folder / "job").write_bytes(job)
            ending, report = self._alone(path, seed) if self.sanitizer else self._server().run(path, seed)
            if ending == 0:
                return Path(f"{path}.out").read_bytes()
        if ending == -signal.SIGALRM:
            told = f"not done after {SECONDS} s"
        else:
            told = f"signal {signal.Signals(-ending).name}" if ending < 0 else f"exit code {ending}"
        raise EmulationError(told, report.decode(errors="replace"))

    @contextlib.contextmanager
    def _place(self):
        """A folder for a job: its own where a sanitizer may leave files, or the same one for all."""
        if self.sanitizer:
            with tempfile.TemporaryDirectory() as folder:
                yield Path(folder)
        else:
            yield self._server().folder

    def _alone(self, job, seed):
        """How a process ended that was started for a job, and what it said."""
        command = [self.path, job, str(seed)]
        if self.sanitizer == "thread" and _setarch():
            command = [*_setarch(), *command]
        try:
            done = subprocess.run(
                command, capture_output=True, env={**os.environ, **OPTIONS}, timeout=SECONDS
            )
        except subprocess.TimeoutExpired as late:
            return -signal.SIGALRM, late.stderr or b""
        return done.returncode, done.stderr

    def _server(self):
        if self.server is None or not self.server.usable():
            self.server = _Server(self.path)
        return self.server


class _Server:
    """A process for jobs one after another, until one ends it, and their folder; both go with this object.

    Sanitizers want a process for each job: what a fiber leaves behind would be taken for a later one's.
    """

    def __init__(self, path):
        self.owner = os.getpid()
        self.kept = tempfile.TemporaryDirectory()
        self.folder = Path(self.kept.name)
        with open(self.folder / "said", "wb") as said:
            self.process = subprocess.Popen(
                [path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True
            )
        weakref.finalize(self, _end, self.process, self.kept, self.owner)

    def usable(self):
        return self.owner == os.getpid() and self.process.poll() is None

    def run(self, job, seed):
        """How a job ended, and what the process said of it."""
        try:
            self.process.stdin.write(f"{seed} {job}\n")
            self.process.stdin.flush()
            if self.process.stdout.readline():
                return 0, b""
            return self.process.wait() or 1, (self.folder / "said").read_bytes()
        except BaseException:  # Ctrl-C, say: the next job must not meet this one's answer
            self.process.kill()
            self.process.wait()
            raise


def _end(process, folder, owner):
    if os.getpid() == owner:
        process.communicate()
        folder.cleanup()


def _build(sanitizer):
    """What determines all programs of one kind, but for their kernels."""
    own = [(HERE / name).read_text(encoding="utf-8") for name in ("emulation.h", "replay.h", "replay.cpp")]
    return FLAGS, SANITIZERS[sanitizer], own, _compiler()


def _common(sanitizer):
    """A folder with what programs of one kind share: the precompiled header, and all code but the kernels."""
    with folder_of(*_build(sanitizer)) as folder:
        flags = [*FLAGS, *SANITIZERS[sanitizer], f"-I{HERE}"]
        if not (folder / "replay.o").exists():
            _gpp(folder, *flags, HERE / "replay.h", out=folder / "replay.h.gch")
            _gpp(folder, *flags, "-O1", "-c", HERE / "replay.cpp", out=folder / "replay.o")
    return folder


def _gpp(folder, *arguments, out):
    """Run g++ in a folder; what it makes is there whole or not at all."""
    unfinished = out.with_name("unfinished")
    done = subprocess.run(["g++", *arguments, "-o", unfinished], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise CompileError(done.stderr)
    os.replace(unfinished, out)


@functools.cache
def _compiler():
    """What g++ says of itself."""
    if why_not():
        raise CompileError(why_not())
    return subprocess.run(["g++", "--version"], capture_output=True, text=True, check=True).stdout


@functools.cache
def _setarch():
    """The command before a program that turns address randomisation off.

    The thread sanitizer bears only little of it.
    """
    command = ["setarch", platform.machine(), "-R"]
    if shutil.which("setarch") and subprocess.run([*command, "true"], capture_output=True).returncode == 0:
        return command
    return []


def _extent(array):
    """The addresses of an array's first byte and of the one after its last."""
    return np.lib.array_utils.byte_bounds(array) if array.size else (array.ctypes.data, array.ctypes.data)


def _owner(array):
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


class _Buffer(NamedTuple):
    number: int
    start: int
    stop: int
    phase: int


class _Buffers:
    """The memory behind all arguments of a run."""

    def __init__(self, argument_lists):
        arguments = [argument for arguments in argument_lists for argument in arguments]
        self.arrays = [a for a in arguments if isinstance(a, np.ndarray)]
        self.data = {}
        for array in self.arrays:
            owner = _owner(array)
            known = self.data.get(id(owner))
            start, stop = _extent(array)
            if known:
                start, stop = min(start, known.start), max(stop, known.stop)
            phase = (start - owner.ctypes.data) % ALIGNMENT
            self.data[id(owner)] = _Buffer(known.number if known else len(self.data), start, stop, phase)
        self.huge = {}
        for argument in arguments:
            if isinstance(argument, Huge):
                self.huge.setdefault(argument, len(self.data) + len(self.huge))

    def of(self, array):
        return self.data[id(_owner(array))]

    def packed(self):
        parts = [struct.pack("<Q", len(self.data) + len(self.huge))]
        for buffer in self.data.values():
            nbytes = buffer.stop - buffer.start
            parts += [struct.pack("<3Q", DATA, nbytes, buffer.phase), ctypes.string_at(buffer.start, nbytes)]
        parts += [struct.pack("<3Q", HUGE, huge.nbytes, 0) for huge in self.huge]
        return b"".join(parts)

    def write_back(self, contents):
        places = {}
        place = 0
        for buffer in self.data.values():
            places[buffer.number] = place
            place += buffer.stop - buffer.start
        for array in self.arrays:
            if array.flags.writeable and array.size:
                buffer = self.of(array)
                offset = places[buffer.number] + array.ctypes.data - buffer.start
                array[...] = np.ndarray(array.shape, array.dtype, contents, offset, array.strides)


def _packed(launch, buffers):
    name = launch.kernel.encode()
    sizes = (*_three(launch.grid), *_three(launch.block), launch.shared, len(launch.args))
    parts = [struct.pack("<Q", len(name)), name, struct.pack("<8Q", *sizes)]
    for argument in launch.args:
        if argument is None:
            parts.append(struct.pack("<Q", NULL))
        elif isinstance(argument, np.ndarray):
            buffer = buffers.of(argument)
            parts.append(struct.pack("<3Q", POINTER, buffer.number, argument.ctypes.data - buffer.start))
        elif isinstance(argument, Huge):
            parts.append(struct.pack("<3Q", POINTER, buffers.huge[argument], 0))
        elif isinstance(argument, np.generic):
            scalar = argument.tobytes()
            parts += [struct.pack("<3Q", SCALAR, ord(argument.dtype.kind), len(scalar)), scalar]
        else:
            raise TypeError(f"{launch.kernel}: {argument!r} is no array, NumPy scalar, None or Huge")
    return b"".join(parts)


def _three(size):
    size = (size,) if isinstance(size, int | np.integer) else tuple(size)
    return *size, *(1,) * (3 - len(size))
