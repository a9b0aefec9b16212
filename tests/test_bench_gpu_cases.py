"""The cases of the GPU benchmark where there is no GPU: on the stand-in for CuPy."""

import concurrent.futures
import contextlib
import importlib
import json
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
from cuda_on_cpu import day, fake_cupy
from cuda_on_cpu.emulator import why_not

from logreg_accel import LogisticRegression
from logreg_accel.kernels import cuda
from logreg_accel.kernels.cuda import shapes, tiles

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT / "bench" / "gpu"))

import gpu_report  # noqa: E402
import gpu_results  # noqa: E402
import gpu_variants  # noqa: E402

ON_THE_DEVICE = (
    "gpu_data",
    "gpu_timing",
    "gpu_contestants",
    "gpu_quasi_newton",
    "gpu_fused",
    "gpu_evaluations",
    "gpu_sweep",
    "gpu_fits",
    "gpu_models",
    "gpu_host",
    "gpu_first",
    "gpu_overhead",
)


KERNELS = [shapes.dense(name, "float32", 1000, 16, 1, 4).kernel for name in ("LossGradient", "HessianVector")]


@pytest.fixture(scope="module")
def kernels(emulated_kernels):
    """Those of the backend, and what the benchmark launches beside."""
    if why_not():
        pytest.skip(why_not())
    launch = shapes.dense("LossGradient", "float32", 1000, 16, 1, 4)
    variants = (other.kernel for _, other in gpu_variants.variants(launch, 1000, 16)[:3])
    compiled = fake_cupy.Kernels(known=emulated_kernels)
    compiled.foresee(cuda.source("dense.cu"), [*KERNELS, *variants])
    fused = (tiles.outputs(name, "float32", 1000, 16, 3, 4, 3) for name in ("LossGradient", "HessianVector"))
    compiled.foresee(cuda.source("outputs.cu"), {launch.kernel for launch in fused})
    return compiled


@pytest.fixture
def gpu(kernels):
    """The device's modules by name, on CuPy's stand-in with what the benchmark needs beside the backend."""
    with day.in_place_of_cupy(kernels), contextlib.ExitStack() as after:
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
        and case["failed"]["broken"].startswith("MemoryError: no room [gpu_results.py:")
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


def test_softmax_is_timed_beside_the_generic_body(gpu):
    pool = gpu.data.Pool(64_000)
    case = gpu.fused.fused_case(pool, "float32", 16, 3, True, 4000.0, 1)
    assert case["apart"] < 1e-5 and list(case["contestants"]) == ["ours", "tiled", "Hessian-vector"]
    assert all(told["ms"] > 0 and told["reads"] > 0 for told in case["contestants"].values())


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


def rebuilt(gpu, X, y, n_classes, **stopping):
    evaluate = gpu.quasi_newton.TwoProducts(X, fake_cupy.asarray(y), n_classes, 1 / X.shape[0])
    seen = []
    w, ending = gpu.quasi_newton.quasi_newton(
        evaluate, evaluate.start, keep=lambda value, w: seen.append(value), **stopping
    )
    return fake_cupy.asnumpy(w).reshape(evaluate.outputs, -1), ending, seen


@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "sparse"])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_rebuilt_loop_finds_the_optimum(gpu, n_classes, sparse):
    """cuML's objective is scikit-learn's; its default stopping ends the loop sooner, above the optimum."""
    rng = np.random.default_rng(5)
    X = rng.standard_normal((300, 6), dtype=np.float32) * (rng.random((300, 6)) < 0.6)
    y = (X @ rng.standard_normal((6, n_classes)) + rng.gumbel(size=(300, n_classes))).argmax(axis=1)
    y = y.astype(np.uint8)
    there = fake_cupy.asarray(X)
    if sparse:
        host = scipy.sparse.csr_matrix(X)
        there = day.CompressedRows(
            [fake_cupy.asarray(part) for part in (host.data, host.indices, host.indptr)], host.shape
        )
    model = LogisticRegression(backend="numpy", tol=1e-10).fit(X.astype(np.float64), y)
    W, ending, seen = rebuilt(gpu, there, y, n_classes, tol=3e-5, delta=0.0)
    np.testing.assert_allclose(W[:, :-1], model.coef_, atol=1e-3)
    assert ending == "converged" and seen[-1] < seen[0]
    _, early, fewer = rebuilt(gpu, there, y, n_classes)
    assert early == "converged" and fewer == seen[: len(fewer)] and len(fewer) < len(seen)


def test_models_race_to_the_least_value(gpu):
    data = gpu.models.softmax_data(120, 5, n_classes=3)
    told = gpu.models.race(
        data,
        {
            "ours": gpu.models.our_fit,
            gpu.models.CUML: gpu.models.rebuilt_fit,
            "PyTorch": lambda data, s: 1 / 0,
        },
        gpu_results.Budget(30),
    )
    assert told["failed"]["PyTorch"].startswith("ZeroDivisionError: division by zero [")
    for fit in told["fits"].values():
        assert 0 <= fit["suboptimality"] < 1e-6 and 0 < fit["seconds_to_target"] <= fit["seconds"]
    assert told["fits"][gpu.models.CUML]["by_its_defaults"]["evaluations"] > 3
    text = gpu_report.table({"models": {"cases": [{"name": "softmax", **told}]}})
    assert "cuML's loop, rebuilt" in text and "not reached" not in text


def test_first_fits_are_timed_beside_the_second_ones(gpu, part, monkeypatch):
    monkeypatch.setattr(gpu.first, "sparse", gpu.first.dense)
    gpu.first.first(types.SimpleNamespace(model_rows=1200), gpu_results.Budget(120), part)
    told = {case["name"]: case for case in part["cases"]}
    assert len(told) == 4 and not part["failed"]
    assert all(case["status"] == "converged" and 0 < case["second_s"] for case in told.values())
    X, y = gpu.first.dense(1000, 10)
    assert X.dtype == np.float32 and set(y.tolist()) == set(range(10))
    assert "first fit, 2 classes: " in gpu_report.table({"first": {"cases": [told["2 classes"]]}})


def test_predictions_are_timed_to_the_host_and_on_the_device(gpu):
    told = gpu.models.predict_case(300, 8, 1)
    assert len(told["ms"]) == 6 and all(0 < ms for ms in told["ms"].values())
    assert {"predict_proba", "probabilities, left on the GPU"} < set(told["GB_per_s"])


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
