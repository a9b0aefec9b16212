"""CPU threads: how many, and one pool of them for all compiled loops."""

import contextlib
import functools
import itertools
import os
import threading
from concurrent.futures import ThreadPoolExecutor


def available_threads():
    """CPUs that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@functools.cache
def _blas():
    import threadpoolctl

    return threadpoolctl.ThreadpoolController().select(user_api="blas")


def usable_threads():
    """CPUs that may be used now: fewer inside `threadpoolctl.threadpool_limits` and under OMP_NUM_THREADS.

    BLAS is asked, since those limits are made for it: a worker of joblib or Dask that lets BLAS have one thread means
    one thread.
    """
    if _single_threaded.users:
        return _single_threaded.usable
    return min([available_threads(), *(library.num_threads for library in _blas().lib_controllers)])


def blas_limit(n_threads):
    """A context in which BLAS uses at most n_threads; None leaves it alone."""
    return contextlib.nullcontext() if n_threads is None else _blas().limit(limits=n_threads)


class _SingleThreaded:
    """A context in which BLAS runs on the caller's thread alone; several threads may be in it at once.

    The limit is the process's, so the first one in sets it and the last one out takes it back. Threads of its own in every
    lane would be as many as lanes times cores, and the bits would depend on how it shares the work.
    """

    def __init__(self):
        self.lock = threading.Lock()
        self.users = 0
        self.usable = 1

    def __enter__(self):
        with self.lock:
            if self.users == 0:
                self.usable = usable_threads()
                self.limit = _blas().limit(limits=1)
                self.limit.__enter__()
            self.users += 1

    def __exit__(self, *error):
        with self.lock:
            self.users -= 1
            if self.users == 0:
                self.limit.__exit__(*error)


_single_threaded = _SingleThreaded()


def single_threaded_blas():
    """A context in which BLAS runs on the caller's thread alone."""
    return _single_threaded


_pool = None
_pool_lock = threading.Lock()


def _forget_pool():
    """After fork: threads do not survive it, and the lock may have been held."""
    global _pool, _pool_lock
    _pool, _pool_lock = None, threading.Lock()
    _single_threaded.__init__()


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

    Threads take the next lane when they are free; what a lane computes must not depend on who runs it. The work must
    release the GIL to gain anything.
    """
    n_threads = min(n_threads, n_lanes)
    lanes = itertools.count()  # next() on it is atomic

    def worker():
        while (lane := next(lanes)) < n_lanes:
            work(lane)

    helpers = [_shared_pool().submit(worker) for _ in range(n_threads - 1)]
    worker()
    for helper in helpers:
        # one that has not started has nothing left to do: waiting for it could wait for another fit's lanes
        if not helper.cancel():
            helper.result()
