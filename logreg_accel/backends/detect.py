"""Detection of a usable CUDA GPU, without importing CuPy unless there is a driver, and never at import time.

The driver is queried through ctypes, which is fast and creates no CUDA context. Calling cuInit breaks CUDA in
child processes forked later, so this runs only when a backend is chosen.
"""

import atexit
import ctypes
import functools
import importlib.util
import os
import sys
import tempfile


def unusable_gpu():
    """Return why the cupy backend cannot run here, or None if it can.

    It can if a kernel was compiled and launched and gave the right answer.
    """
    no_driver = _driver_problem()
    if no_driver:
        return no_driver
    if importlib.util.find_spec("cupy") is None:
        return "CuPy is not installed; pip install 'logreg-accel[cuda13]' (or [cuda12] for a CUDA 12 driver)"
    return _probe_problem()


def _driver_problem():
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return "no NVIDIA driver was found"
    if code := driver.cuInit(0):
        return f"the NVIDIA driver does not start (cuInit returned {code})"
    count = ctypes.c_int()
    if driver.cuDeviceGetCount(ctypes.byref(count)) or count.value == 0:
        return "the NVIDIA driver sees no GPU"
    return None


def _probe_problem():
    """Compile and run one small kernel, since libraries can be missing even if a driver is there."""
    give_cupy_a_folder()
    try:
        from .cupy import probe

        probe()
    except Exception as error:  # CuPy's CompileException has no narrower base class
        first_line = (str(error).splitlines() or [""])[0]
        missing = any(name in str(error) for name in ("libnvrtc", "libcublas", "libcusolver"))
        hint = "; pip install 'cupy-cuda13x[ctk]' brings the CUDA libraries" if missing else ""
        return f"CuPy failed its first kernel ({type(error).__name__}: {first_line}){hint}"
    return None


def give_cupy_a_folder():
    """Name a temporary folder for what CuPy compiles where the usual one cannot be written.

    CuPy makes it when it is imported, and fails if it cannot.
    """
    if "CUPY_CACHE_DIR" in os.environ or "cupy" in sys.modules:
        return
    usual = os.path.expanduser("~/.cupy/kernel_cache")
    try:
        os.makedirs(usual, exist_ok=True)
        writable = os.access(usual, os.W_OK)
    except OSError:
        writable = False
    if not writable:
        os.environ["CUPY_CACHE_DIR"] = _temporary().name


@functools.cache
def _temporary():
    folder = tempfile.TemporaryDirectory(prefix="logreg-accel-cupy-")
    atexit.register(folder.cleanup)  # left to the interpreter, its removal is a ResourceWarning
    return folder
