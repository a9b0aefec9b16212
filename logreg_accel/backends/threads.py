"""CPU threads: how many may be used, and the one pool that runs all compiled loops."""

import contextlib
import contextvars
import functools
import itertools
import math
import os
import threading
from concurrent.futures import ThreadPoolExecutor, wait

import numpy as np

_LOOKED_UP = 1 << 16  # numbers that a lane looks up: converted to a wider type, they stay in the cache


def available_threads():
    """Return the number of CPUs that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@functools.cache
def _blas():
    import threadpoolctl

    return threadpoolctl.ThreadpoolController().select(user_api="blas")


class _BlasThreads:
    """Limits the threads that BLAS may use.

    The setting is global to the process, so all limits in force are tracked and the smallest one applies.
    When the last one is lifted, every library gets back its original setting.
    """

    def __init__(self):
        self.lock = threading.Lock()
        self.limits = []
        self.before = {}
        self.in_force = None

    def usable(self):
        """Return how many threads BLAS might use without the limits set here."""
        with self.lock:
            counts = (
                self.before.values()
                if self.limits
                else [library.num_threads for library in _blas().lib_controllers]
            )
            return min(counts, default=available_threads())

    def add(self, n_threads):
        """Put a limit in force."""
        with self.lock:
            if not self.limits:
                self.before = {library: library.num_threads for library in _blas().lib_controllers}
            self.limits.append(n_threads)
            self._set()

    def lift(self, n_threads):
        """Take a limit back."""
        with self.lock:
            if n_threads in self.limits:  # Ctrl-C may arrive before it was added
                self.limits.remove(n_threads)
            self._set()

    def _set(self):
        """Set the smallest limit, unless it is set already: a call takes longer than a short product."""
        least = min(self.limits, default=math.inf)
        if least == self.in_force:
            return
        self.in_force = None  # until all is done, since Ctrl-C may arrive in between
        for library, count in self.before.items():
            # threadpoolctl 3.8 lets the first thread that sets OpenBLAS be the only one, for as long as it
            # lives; the limits here are those of all threads.
            release = getattr(library, "clear_controlling_thread", lambda force: None)
            release(force=True)
            library.set_num_threads(min(count, least))
            release(force=True)
        self.in_force = least


_blas_threads = _BlasThreads()


class _Limited:
    """The context of a limit; a generator's would take longer than a pass over few rows."""

    def __init__(self, n_threads):
        self.n_threads = n_threads

    def __enter__(self):
        try:
            _blas_threads.add(self.n_threads)
        except BaseException:  # Ctrl-C
            _blas_threads.lift(self.n_threads)
            raise

    def __exit__(self, *_):
        _blas_threads.lift(self.n_threads)


_UNLIMITED = contextlib.nullcontext()


def usable_threads():
    """Return how many CPUs may be used now: fewer under `threadpoolctl.threadpool_limits` or OMP_NUM_THREADS.

    The setting of BLAS is respected, since those limits are made for it: a worker of joblib or Dask that
    restricts BLAS to one thread should use one thread here too.
    """
    return min(available_threads(), _blas_threads.usable())


def blas_limit(n_threads):
    """Return a context in which BLAS uses at most n_threads, or any number if that is None.

    Several threads may enter such contexts at once.
    """
    return _UNLIMITED if n_threads is None else _Limited(n_threads)


_pool = None
_pool_lock = threading.Lock()


def _forget_pool():
    """Reset the state in a forked child: threads do not survive a fork, and the lock may have been held."""
    global _pool, _pool_lock
    _pool, _pool_lock = None, threading.Lock()
    _blas_threads.__init__()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)


def _shared_pool():
    global _pool
    with _pool_lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(available_threads(), thread_name_prefix="logreg_accel")
        return _pool


def run_lanes(work, n_lanes, n_threads):
    """Call work(lane) for lane = 0 .. n_lanes - 1 on n_threads threads, including the calling one.

    A thread takes the next lane as soon as it is free, so the result of a lane must not depend on the thread
    that runs it. The work must release the GIL to run in parallel.
    """
    n_threads = min(n_threads, n_lanes)
    lanes = itertools.count()  # its next() is atomic
    stop = threading.Event()

    def worker():
        while not stop.is_set() and (lane := next(lanes)) < n_lanes:
            work(lane)

    # Each thread gets a copy of the context, with the deadline and NumPy's handling of overflows.
    helpers = [_shared_pool().submit(contextvars.copy_context().run, worker) for _ in range(n_threads - 1)]
    try:
        worker()
    except BaseException:  # including KeyboardInterrupt
        stop.set()
        raise
    finally:
        # A helper that has not started has nothing left to do, and waiting for it could mean waiting for the
        # lanes of another fit.
        started = [helper for helper in helpers if not helper.cancel()]
        wait(started)
        work = None  # the pool's queue keeps cancelled helpers, and through them all data of the lanes
    for helper in started:
        helper.result()


def looked_up(table, places, n_threads=None):
    """Return table[places] for places (m,) in a small table, by several threads if there are many.

    NumPy would convert all places to a wider type first, and one thread would touch all pages of the result.
    """
    if len(places) < _LOOKED_UP or table.dtype.hasobject:
        return table[places]
    found, threads = np.empty(len(places), dtype=table.dtype), n_threads or usable_threads()

    def lane(i):
        some = slice(i * _LOOKED_UP, (i + 1) * _LOOKED_UP)
        np.take(table, places[some], out=found[some], mode="clip")  # the other modes copy their result

    run_lanes(lane, -(-len(places) // _LOOKED_UP), threads)
    return found
