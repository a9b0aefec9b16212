"""CPU threads: how many, and one pool of them for all compiled loops."""

import contextlib
import functools
import itertools
import os
import threading
from concurrent.futures import ThreadPoolExecutor, wait


def available_threads():
    """CPUs that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@functools.cache
def _blas():
    import threadpoolctl

    return threadpoolctl.ThreadpoolController().select(user_api="blas")


class _BlasThreads:
    """How many threads BLAS may use. The number is the process's, so those who limit it are counted.

    The least of the limits in force holds; when the last one goes, every library gets back what it had.
    """

    def __init__(self):
        self.lock = threading.Lock()
        self.limits = []
        self.before = {}

    def usable(self):
        """What BLAS may use, were it not for limits of ours."""
        with self.lock:
            counts = (
                self.before.values()
                if self.limits
                else [library.num_threads for library in _blas().lib_controllers]
            )
            return min(counts, default=available_threads())

    @contextlib.contextmanager
    def limited(self, n_threads):
        with self.lock:
            if not self.limits:
                self.before = {library: library.num_threads for library in _blas().lib_controllers}
            self.limits.append(n_threads)
            self._set()
        try:
            yield
        finally:
            with self.lock:
                self.limits.remove(n_threads)
                self._set()

    def _set(self):
        for library, count in self.before.items():
            library.set_num_threads(min([count, *self.limits]))


_blas_threads = _BlasThreads()


def usable_threads():
    """CPUs that may be used now: fewer inside `threadpoolctl.threadpool_limits` and under OMP_NUM_THREADS.

    BLAS is asked, since those limits are made for it: a worker of joblib or Dask that lets BLAS have one
    thread means one thread.
    """
    return min(available_threads(), _blas_threads.usable())


def blas_limit(n_threads):
    """A context in which BLAS uses at most n_threads; None leaves it alone. Several threads may be in it at once."""
    return contextlib.nullcontext() if n_threads is None else _blas_threads.limited(n_threads)


_pool = None
_pool_lock = threading.Lock()


def _forget_pool():
    """After fork: threads do not survive it, and the lock may have been held."""
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
    """Call work(lane) for lane = 0 .. n_lanes - 1 on n_threads threads, the caller's among them.

    Threads take the next lane when they are free; what a lane computes must not depend on who runs it. The
    work must release the GIL to gain anything.
    """
    n_threads = min(n_threads, n_lanes)
    lanes = itertools.count()  # next() on it is atomic
    stop = threading.Event()

    def worker():
        while not stop.is_set() and (lane := next(lanes)) < n_lanes:
            work(lane)

    helpers = [_shared_pool().submit(worker) for _ in range(n_threads - 1)]
    try:
        worker()
    except BaseException:  # Ctrl-C too
        stop.set()
        raise
    finally:
        # one that has not started has nothing left to do: waiting for it could wait for another fit's lanes
        started = [helper for helper in helpers if not helper.cancel()]
        wait(started)
    for helper in started:
        helper.result()
