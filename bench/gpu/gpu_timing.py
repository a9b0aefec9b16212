"""How long work takes on the device, and how fast its memory is read at best."""

import statistics
import time
from typing import Any, NamedTuple

import cupy
import numpy as np
from gpu_data import relative_error
from gpu_results import attempt

from logreg_accel.backends.cupy import synchronize

_WRONG = 1e-3  # relative error of a gradient from which on a contestant is not timed
_READ = r"""
#ifndef __CUDACC_RTC__
#include "emulation.h"  // the dry run compiles it for the CPU
struct uint4 {
    unsigned x, y, z, w;
};
#endif
template <int kFlight>
__global__ void read_all(const uint4* __restrict__ x, long long count, unsigned* __restrict__ out) {
    const long long threads = (long long)gridDim.x * blockDim.x;
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    const long long me = i;
    unsigned a = 0;
    for (; i + (kFlight - 1) * threads < count; i += kFlight * threads) {
        uint4 v[kFlight];
#pragma unroll
        for (int j = 0; j < kFlight; ++j) v[j] = x[i + j * threads];
#pragma unroll
        for (int j = 0; j < kFlight; ++j) a += v[j].x + v[j].y + v[j].z + v[j].w;
    }
    for (; i < count; i += threads) a += x[i].x + x[i].y + x[i].z + x[i].w;
    out[me] = a;
}
"""


def device_ms(run):
    """Milliseconds between events before and after."""
    start, end = cupy.cuda.Event(), cupy.cuda.Event()
    start.record()
    run()
    end.record()
    end.synchronize()
    return cupy.cuda.get_elapsed_time(start, end)


def wall_ms(run, wait=lambda result: synchronize()):
    """Milliseconds from the call to the result's being there."""
    synchronize()
    began = time.perf_counter()
    wait(run())
    return 1e3 * (time.perf_counter() - began)


def median(timer, repeats, warm_up=2):
    return statistics.median([timer() for _ in range(warm_up + repeats)][warm_up:])


class Contestant(NamedTuple):
    """One way to do an evaluation.

    run : starts the work and returns an object with its result
    answer : result -> (Σℓ or None, gradient) on the host; None for a bare kernel, which is timed on the
    device wait : result -> None, waits until it is there checks : the expected result with which the gradient
    is compared, "gradient" or "hessian_vector"
    """

    run: Any
    answer: Any = None
    wait: Any = lambda result: synchronize()
    checks: str = "gradient"

    def ms(self):
        if self.answer is None:
            synchronize()
            return device_ms(self.run)
        return wall_ms(self.run, self.wait)


class Race:
    """Contestants over one X: each is checked against float64 when it enters, all are timed in turns."""

    def __init__(self, expected):
        self.expected, self.lanes, self.errors, self.failed, self.wrong = expected, {}, {}, {}, {}

    def enter(self, name, make, problem):
        attempt(self.failed, name, self._check, name, make, problem)

    def _check(self, name, make, problem):
        one = make(problem)
        result = one.run()
        self.errors[name] = {}
        if one.answer is None:
            one.wait(result)
        else:
            value, gradient = one.answer(result)
            error = relative_error(gradient, self.expected[one.checks])
            self.errors[name] = {
                "value_error": None if value is None else relative_error(value, self.expected["value"]),
                "gradient_error": error,
            }
            if not error <= _WRONG:
                self.wrong[name] = f"relative error of the gradient {error:.1e}"
                return
        self.lanes[name] = one

    def run(self, nbytes, best_read, repeats, warm_up=3):
        """Medians, and who failed or was wrong, and why.

        Each median is accompanied by GB/s, the share of the best read and the ratio to "ours". Contestants
        take turns from the last to the first that entered: evaluations of short kernels are slower right
        after the long products of others than after one another.
        """
        times = {name: [] for name in self.lanes}
        for _ in range(warm_up + repeats):
            for name, one in reversed(self.lanes.items()):
                if name not in self.failed:
                    times[name].append(attempt(self.failed, name, one.ms))
        told = {}
        for name, ms in times.items():
            if name not in self.failed:
                ms = ms[warm_up:]
                told[name] = {
                    "ms": statistics.median(ms),
                    "ms_range": [min(ms), max(ms)],
                    **self.errors[name],
                }
        for entry in told.values():
            rate = nbytes / entry["ms"] / 1e6
            entry.update(GB_per_s=rate, share_of_read=rate / best_read)
            if "ours" in told:
                entry["times_ours"] = entry["ms"] / told["ours"]["ms"]
        return {"contestants": told, "wrong": self.wrong, "failed": self.failed}


def read_jobs(X):
    """Reads of all of X, by name: our own reading kernel in several shapes, and CuPy's sum."""
    words = X.reshape(-1).view(np.uint8)
    flights = {f: f"read_all<{f}>" for f in (4, 8)}
    module = cupy.RawModule(code=_READ, options=("-std=c++17",), name_expressions=tuple(flights.values()))
    processors = cupy.cuda.runtime.getDeviceProperties(0)["multiProcessorCount"]
    out = cupy.empty(processors * 32 * 512, dtype=np.uint32)
    jobs = {"cupy.sum": lambda: words.view(np.float32).sum()}
    for flight, name in flights.items():
        kernel = module.get_function(name)
        for threads, blocks in ((256, 8), (256, 32), (512, 4), (512, 16)):
            grid = ((processors * blocks,), (threads,), (words, np.int64(words.size // 16), out))
            jobs[f"{flight} loads, {blocks} x {threads} threads"] = lambda kernel=kernel, grid=grid: kernel(
                *grid
            )
    return jobs


def measure_read(X, repeats):
    """GB/s of the plain reads of X."""
    rates = {
        name: X.nbytes / median(lambda: device_ms(job), repeats) / 1e6 for name, job in read_jobs(X).items()
    }
    fastest = max(rates, key=rates.get)
    return {"best_read_GB_per_s": rates[fastest], "fastest": fastest, "reads_GB_per_s": rates}
