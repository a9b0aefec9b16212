"""The cases of the GPU benchmark where there is no GPU: on the stand-in for CuPy."""

import concurrent.futures
import contextlib
import importlib
import json
import sys
import time
import types
from pathlib import Path

import numpy as np
import pytest
from cuda_on_cpu import fake_cupy
from cuda_on_cpu.emulator import why_not

from logreg_accel.kernels import cuda
from logreg_accel.kernels.cuda import shapes

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT / "bench" / "gpu"))

import gpu_report  # noqa: E402
import gpu_results  # noqa: E402
import gpu_variants  # noqa: E402

ON_THE_DEVICE = (
    "gpu_data",
    "gpu_timing",
    "gpu_contestants",
    "gpu_evaluations",
    "gpu_sweep",
    "gpu_fits",
    "gpu_host",
    "gpu_overhead",
)


class Event:
    """An event that the host's clock times: kernels of the stand-in run when they are launched."""

    def __init__(self, block=False, disable_timing=False):
        pass

    def record(self, stream=None):
        self.at = time.perf_counter()

    def synchronize(self):
        pass


KERNELS = [shapes.dense(name, "float32", 1000, 16, 1, 4).kernel for name in ("LossGradient", "HessianVector")]


@pytest.fixture(scope="module")
def kernels():
    if why_not():
        pytest.skip(why_not())
    launch = shapes.dense("LossGradient", "float32", 1000, 16, 1, 4)
    compiled = fake_cupy.Kernels()
    names = [
        *KERNELS,
        "sum_slices<float>",
        *(other.kernel for _, other in gpu_variants.variants(launch, 1000, 16)[:3]),
    ]
    compiled.foresee(cuda.source("dense.cu"), set(names))
    return compiled


@pytest.fixture
def gpu(kernels):
    """The device's modules by name, on CuPy's stand-in with what the benchmark needs beside the backend."""
    with fake_cupy.in_place_of_cupy(kernels), contextlib.ExitStack() as after:
        cupy, rng = sys.modules["cupy"], np.random.default_rng(0)
        cupy.random = types.SimpleNamespace(
            seed=lambda seed: None,
            standard_normal=lambda size, dtype: fake_cupy.asarray(rng.standard_normal(size, dtype=dtype)),
        )
        cupy.cuda.Event = Event
        cupy.cuda.get_elapsed_time = lambda start, end: 1e3 * (end.at - start.at) + 1e-6
        for name in ON_THE_DEVICE:
            after.callback(sys.modules.pop, name, None)
        yield types.SimpleNamespace(
            **{name.removeprefix("gpu_"): importlib.import_module(name) for name in ON_THE_DEVICE}
        )


@pytest.fixture
def part(tmp_path):
    return gpu_results.Part(tmp_path / "part.json")


def test_a_case_is_checked_and_timed(gpu, part):
    def broken(problem):
        raise MemoryError("no room")

    def mistaken(problem):
        return gpu.timing.Contestant(lambda: None, lambda r: (0.0, np.zeros(17)))

    contestants = gpu.contestants.OURS | {
        "two products": gpu.contestants.two_products,
        "tiled": lambda problem: gpu.contestants.generic_body(20_000, problem),
        "broken": broken,
        "mistaken": mistaken,
    }
    case = gpu.evaluations.evaluate(
        gpu.data.Pool(64_000), part, "float32", 16, contestants, 4000.0, 1, gpu_results.Budget(60)
    )
    assert (
        case["rows"] == 1000
        and case["failed"] == {"broken": "MemoryError: no room"}
        and list(case["wrong"]) == ["mistaken"]
    )
    assert list(case["contestants"]) == [
        "ours",
        "our kernel",
        "ours: hessian_vector",
        "two products",
        "tiled",
    ]
    for name, entry in case["contestants"].items():
        assert (
            entry["ms"] > 0
            and entry["share_of_read"] > 0
            and (name == "our kernel" or entry["gradient_error"] < 1e-5)
        )
    assert case["contestants"]["ours"]["times_ours"] == 1 and not case["not_measured"]
    part["seconds_to_prepare"]["tiled"], part["ended_the_process"] = 50.0, ["float32 16 broken"]
    again = gpu.evaluations.evaluate(
        gpu.data.Pool(64_000), part, "float32", 16, contestants, 4000.0, 1, gpu_results.Budget(30)
    )
    assert (
        again["not_measured"] == ["tiled"]
        and "two products" in again["contestants"]
        and again["failed"] == {"broken": "ended the process"}
    )


def test_several_outputs_are_checked(gpu, part):
    contestants = {
        "ours": gpu.contestants.our_gradient,
        "tiled": lambda problem: gpu.contestants.generic_body(20_000, problem),
    }
    case = gpu.evaluations.evaluate(
        gpu.data.Pool(64_000), part, "float32", 16, contestants, 4000.0, 1, gpu_results.Budget(60), outputs=2
    )
    assert list(case["contestants"]) == ["ours", "tiled"] and case["outputs"] == 2


def test_the_section_writes_after_every_case(gpu, part, monkeypatch):
    monkeypatch.setattr(gpu.timing, "read_jobs", lambda X: {"a sum": lambda: X.sum()})
    monkeypatch.setattr(gpu.evaluations, "read_jobs", gpu.timing.read_jobs)
    monkeypatch.setattr(gpu.evaluations, "QUICK", {"two products": gpu.contestants.two_products})
    monkeypatch.setattr(gpu.evaluations, "COMPILED", {})
    monkeypatch.setattr(gpu.evaluations, "_OTHERS", ())
    options = types.SimpleNamespace(bytes=64_000, features=(16,), repeats=1)
    part["ended_the_process"] = ["quick: float16 16", "compiled: float16 16"]  # spares their kernels
    gpu.evaluations.evaluations(options, gpu_results.Budget(60), part)
    written = json.loads(part.path.read_text())
    assert [case["name"] for case in written["cases"]] == [
        "quick: float32 16",
        "compiled: float32 16",
    ] and not written["failed"]
    assert (
        part["not_measured"] == part["ended_the_process"]
        and written["cases"][0]["contestants"]["plain read"]["ms"] > 0
    )
    text = gpu_report.table({"evaluations": written})
    assert "share of the best read" in text and "two products" in text


def test_variants_are_launched_and_checked(gpu, part, monkeypatch):
    monkeypatch.setattr(gpu.sweep, "variants", lambda launch, m, n: gpu_variants.variants(launch, m, n)[:3])
    launch = shapes.dense("LossGradient", "float32", 1000, 16)
    names = [other.kernel for _, other in gpu.sweep.variants(launch, 1000, 16)]
    compiled = {name: concurrent.futures.Future() for name in names}
    for future in compiled.values():
        future.set_result(None)
    case = gpu.sweep.sweep_case(
        gpu.data.Pool(64_000), part, "float32", 16, 4000.0, 1, gpu_results.Budget(60), compiled
    )
    assert len(case["variants"]) == 4 and not case["failed"] and case["gain"] >= 1
    assert all(entry["ms"] > 0 and entry["difference"] < 1e-5 for entry in case["variants"])
    assert [entry["kernel"] for entry in case["variants"]] == [KERNELS[0], *names]


def test_an_evaluation_is_timed_beside_its_kernels(gpu, part):
    part.case("1000 x 16", gpu_results.Budget(60), gpu.overhead.dense_case, 1000, 16, 2)
    part.case("50 x 8, sparse", gpu_results.Budget(60), gpu.overhead.sparse_case, 50, 8, 2)
    assert not part["failed"] and all(us > 0 for c in part["cases"] for us in list(c.values())[1:])
    assert "overhead, 1000 x 16, µs: evaluation " in gpu_report.table({"overhead": part})


def test_fits_reach_the_target_on_the_stand_in(gpu):
    X, y = gpu.data.hard_matrix(400, 16)
    told, trace = gpu.fits.our_fit(X, y.get(), "lbfgs", 1e-9, 20)

    def exact(w):
        return gpu.fits.objective_value(X, y, w, 1 / 400)

    least = exact(trace[-1][2])
    assert 0 < gpu.fits.first_below(trace, least, 1e-6, exact) <= told["seconds"] and least == pytest.approx(
        trace[-1][1], rel=1e-5
    )


def test_the_first_point_below_the_target_is_found_by_exact_values(gpu):
    trace = [(1.0, 2.0, "far"), (2.0, 1.0 + 9e-7, "rounded"), (3.0, 1.0 + 2e-6, "there"), (4.0, 1.0, "after")]
    exact = {"rounded": 1.0 + 3e-6, "there": 1.0 + 5e-7, "after": 1.0}
    assert gpu.fits.first_below(trace, 1.0, 1e-6, exact.__getitem__) == 3.0
    assert gpu.fits.first_below(trace[:2], 1.0, 1e-6, exact.__getitem__) is None


def test_host_arrays_are_sent_and_fitted(gpu, part):
    options = types.SimpleNamespace(bytes=64_000, megabytes=(0.02,))
    gpu.host.upload(options, gpu_results.Budget(60), part)
    gpu.host.break_even(options, gpu_results.Budget(60), part)
    assert [case["name"] for case in part["cases"]] == [
        "pinned memory",
        "256 features",
        "250 features",
        *(f"0.02 MB on {b}" for b in ("cupy", "numba", "numpy")),
    ]
    assert not part["failed"] and all(
        rate > 0 for case in part["cases"][:3] for rate in case["GB_per_s"].values()
    )
