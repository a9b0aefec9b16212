"""Array backends behind one interface.

`get_backend` turns the estimator's `backend=` into an object, once per fit, which is then passed down;
`backends()` says which backends this machine can use, and why not the others.
"""

import functools
import importlib
import os
import sys
import types

from ..data import stored
from .ahead import compiled_ahead
from .base import Backend

__all__ = ["BACKENDS", "Backend", "Choice", "backends", "get_backend", "unusable"]

BACKENDS = {"numpy": "NumpyBackend", "numba": "NumbaBackend", "cupy": "CupyBackend"}

# From this size on, compiled loops save more time over a fit than importing Numba and loading its compiled
# code takes. Below it, NumPy is faster.
NUMBA_FROM_BYTES = 32 << 20
# The same after `logreg-accel doctor --warm` has compiled the loops. Below it, calling them takes as long as
# they save.
NUMBA_FROM_BYTES_AHEAD = 2 << 20
# From this size on, a fit of rows in host memory gains more from a GPU than the upload costs; somewhat below,
# the compiled loops take about as long.
CUPY_FROM_BYTES = 64 << 20


class Choice(str):
    """A name that remembers why it was chosen, in `reason`."""

    reason: str

    def __new__(cls, name, reason=""):
        self = super().__new__(cls, name)
        self.reason = reason
        return self

    def __getnewargs__(self):
        return str(self), self.reason


def backends() -> dict[str, str | None]:
    """Report which backends are usable on this machine.

    Returns
    -------
    dict
        Maps each name to None if it is usable, otherwise to a sentence that says why not and what to install.
    """
    return {name: unusable(name) for name in BACKENDS}


@functools.cache
def unusable(name):
    """Return why a backend cannot run here, or None if it can."""
    if name == "numba":
        return _numba_problem()
    if name == "cupy":
        return importlib.import_module(".detect", __name__).unusable_gpu()
    return None


def _numba_problem():
    """Return why Numba cannot run, which only an import shows: it may refuse the installed NumPy."""
    try:
        importlib.import_module("logreg_accel.kernels.cpu")
    except Exception as error:  # also if LLVM lacks a library, or two versions do not match
        if isinstance(error, ModuleNotFoundError) and error.name == "numba":
            return "Numba is not installed; pip install numba"
        return f"Numba cannot be used ({type(error).__name__}: {(str(error).splitlines() or [''])[0]})"
    return None


def _looks():
    """See `data.stored.looks`."""
    return None if unusable("cupy") else importlib.import_module(".cupy.looks", __name__)


stored.looks = _looks


if hasattr(os, "register_at_fork"):  # CUDA does not survive a fork, so a child process must check again
    os.register_at_fork(after_in_child=unusable.cache_clear)


def get_backend(
    name, nbytes, on_device=False, n_threads=None, *, n_rows=0, n_outputs=1, upload=True, work=None
):
    """Return the backend of a given name or, for "auto", the one expected to be fastest for a matrix.

    Parameters
    ----------
    name : "auto", "numpy", "numba" or "cupy"
    nbytes : int
        Size of X in bytes.
    on_device : bool
        Whether X is in GPU memory.
    n_threads : int or None
    n_rows, n_outputs : int
        Number of rows of X and of margins per row, which determine what a GPU has to hold besides X.
    upload : bool
        Whether "auto" may send X to a GPU, which does not pay for a single pass.
    work : int or None
        `Matrix.work`, if it differs from `nbytes`.

    Returns
    -------
    backend : Backend
    choice : Choice
        Its name, and why it was chosen.

    Raises
    ------
    ValueError
        The name is unknown.
    RuntimeError
        The backend cannot run here; the message says why.
    TypeError
        X is on a GPU, and the backend reads host memory.
    """
    if not isinstance(name, str) or (name != "auto" and name not in BACKENDS):
        raise ValueError(
            f"`backend` is {name!r}; expected 'auto' or one of {', '.join(map(repr, BACKENDS))}."
        )
    choice = (
        _choose(nbytes, work or nbytes, on_device, n_rows, n_outputs, upload)
        if name == "auto"
        else Choice(name, "asked for")
    )
    if reason := unusable(choice):
        raise RuntimeError(
            f"`backend='{choice}'` cannot run here: {reason}. "
            + (
                "`X` is on a GPU; bring it to the host to use another backend."
                if on_device
                else "Use backend='auto' to take what is usable; `logreg-accel doctor` shows what that is."
            )
        )
    if on_device and choice != "cupy":
        raise TypeError(
            f"`X` is in GPU memory and `backend='{choice}'` reads host memory. Use backend='cupy' or 'auto', "
            "or copy `X` to the host first (X.get() in CuPy, X.cpu() in PyTorch)."
        )
    module = importlib.import_module(f".{choice}", __name__)
    return getattr(module, BACKENDS[choice])(n_threads), choice


def _choose(nbytes, work, on_device, n_rows, n_outputs, upload):
    size = f"{nbytes / 1e6:.3g} MB of X"
    if on_device:
        return Choice("cupy", "X is on a GPU")
    if (
        upload
        and nbytes >= CUPY_FROM_BYTES
        and unusable("cupy") is None
        and _fits_on_gpu(nbytes, n_rows, n_outputs)
    ):
        return Choice("cupy", f"a GPU is usable and {size} is worth sending there")
    if work < numba_from_bytes():
        return Choice("numpy", f"{size} is small: compiled loops would gain nothing")
    if problem := unusable("numba"):
        return Choice("numpy", f"{size} is worth compiled loops, but: {problem}")
    if work < NUMBA_FROM_BYTES:
        return Choice("numba", f"{size} is worth loops that `logreg-accel doctor --warm` compiled ahead")
    return Choice("numba", f"{size} is worth compiled loops")


def numba_from_bytes():
    """The size of X from which on "auto" uses Numba on this machine."""
    return NUMBA_FROM_BYTES_AHEAD if compiled_ahead() else NUMBA_FROM_BYTES


def _fits_on_gpu(nbytes, n_rows, n_outputs):
    """Check whether X and the generic bodies' temporaries fit into four fifths of the free GPU memory."""
    module = importlib.import_module(".cupy", __name__)
    padding = 15 * n_rows  # an upper bound
    needed = module.bytes_needed(nbytes + padding, n_rows, 0, n_outputs) + module.CupyBackend.tile_bytes
    return needed <= 0.8 * module.free_bytes()


class _CallablePackage(types.ModuleType):
    """Makes this package callable: `logreg_accel.backends()` is `logreg_accel.backends.backends()`."""

    def __call__(self):
        return backends()


sys.modules[__name__].__class__ = _CallablePackage
