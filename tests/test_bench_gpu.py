"""The GPU benchmark where there is no GPU: its plain parts, and its cases on the stand-in for CuPy."""

import concurrent.futures
import contextlib
import importlib
import json
import subprocess
import sys
import time
import types
from pathlib import Path

import numpy as np
import pytest
from cuda_on_cpu import fake_cupy
from cuda_on_cpu.emulator import why_not

from logreg_accel.backends import unusable
from logreg_accel.kernels import cuda
from logreg_accel.kernels.cuda import shapes

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT / "bench" / "gpu"))

import gpu_report  # noqa: E402
import gpu_results  # noqa: E402
import gpu_runs  # noqa: E402
import gpu_variants  # noqa: E402

ON_THE_DEVICE = (
    "gpu_data",
    "gpu_timing",
    "gpu_contestants",
    "gpu_evaluations",
    "gpu_sweep",
    "gpu_fits",
    "gpu_host",
)

# -- plain parts
# ----------------------------------------------------------------------------------------------------------


def test_the_parent_loads_no_gpu_library():
    code = "import sys, gpu_runs; print([n for n in ('cupy', 'torch', 'jax', 'matplotlib', 'sklearn') if n in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "bench" / "gpu", capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_the_shell_script_parses():
    assert subprocess.run(["bash", "-n", ROOT / "bench" / "gpu.sh"]).returncode == 0


@pytest.mark.skipif(unusable("cupy") is None, reason="there is a GPU")
def test_without_a_gpu_it_says_so(tmp_path):
    done = subprocess.run(
        [sys.executable, ROOT / "bench" / "gpu", "--quick", "--output", tmp_path],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and "no benchmark: " in done.stderr and unusable("cupy") in done.stderr


@pytest.mark.parametrize("dtype", ["float32", "float16", "float64", "uint8"])
@pytest.mark.parametrize("n", gpu_runs.FEATURES)
def test_template_arguments_come_back_as_they_were(n, dtype):
    launch = shapes.dense("LossGradient", dtype, 10_000, n)
    fields = gpu_variants.parse(launch.kernel)
    assert gpu_variants.expression(fields) == launch.kernel
    assert (
        fields["rows"] == launch.rows
        and fields["lanes"] == launch.lanes
        and 32 * fields["warps"] == launch.block
    )
    assert gpu_variants.vary(launch, 10_000, n) == launch
    with pytest.raises(ValueError, match="template arguments"):
        gpu_variants.parse(launch.kernel[:-1] + ", 1>")


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("n", gpu_runs.FEATURES)
def test_variants_cover_all_rows_in_whole_steps(n, dtype):
    m = 10_000_019
    launch = shapes.dense("LossGradient", dtype, m, n)
    found = gpu_variants.variants(launch, m, n)
    assert (
        len(found) >= 10
        and len({other for _, other in found}) == len(found)
        and launch not in [o for _, o in found]
    )
    for _, other in found:
        fields = gpu_variants.parse(other.kernel)
        step = fields["rows"] * (1 if fields["lanes"] > 32 else 32 // fields["lanes"] * fields["warps"])
        assert (
            other.slice_rows % step == 0
            and other.grid * other.slice_rows >= m > (other.grid - 1) * other.slice_rows
        )
        assert other.block == 32 * fields["warps"] <= 1024 and fields["resident"] >= other.block
        assert fields["packs"] * fields["lanes"] * fields["vector"] >= n
        assert fields["lanes"] <= 32 or fields["lanes"] == other.block


def test_variants_that_cannot_be_are_none():
    launch = shapes.dense("LossGradient", "float32", 10_000, 8192)
    assert (
        gpu_variants.vary(launch, 10_000, 8192, lanes=2048) is None
        and gpu_variants.vary(launch, 10_000, 8192, warps=4) is None
    )
    assert gpu_variants.vary(launch, 10_000, 8192, packs=1) is None


def test_a_budget_is_shared_out():
    now = [0.0]
    budget = gpu_results.Budget(10, clock=lambda: now[0])
    part = budget.share(0.5)
    now[0] = 4.0
    assert budget.left() == 6 and part.left() == 1 and part.share(2).left() == 2
    now[0] = 20.0
    assert budget.left() == -10 and budget.share(0.5).left() == 0


def test_errors_are_collected_and_a_lost_device_ends_the_section():
    failures = {}

    def fail(text):
        raise RuntimeError(text)

    assert (
        gpu_results.attempt(failures, "a", lambda x: x + 1, 1) == 2
        and gpu_results.attempt(failures, "b", fail, "out of\nmemory") is None
    )
    assert failures == {"b": "RuntimeError: out of memory"}
    with pytest.raises(gpu_results.DeviceLost):
        gpu_results.attempt(
            failures,
            "c",
            gpu_results.attempt,
            failures,
            "d",
            fail,
            "cudaErrorIllegalAddress: an illegal memory access was encountered",
        )


def test_results_are_written_whole(tmp_path):
    gpu_results.write_json(tmp_path / "new" / "a.json", {"x": np.float32(1.5), "y": np.arange(2)})
    assert json.loads((tmp_path / "new" / "a.json").read_text()) == {"x": 1.5, "y": [0, 1]}
    with pytest.raises(ZeroDivisionError):
        gpu_results.write_json(tmp_path / "new" / "a.json", _Unwritable())
    assert json.loads((tmp_path / "new" / "a.json").read_text())["x"] == 1.5


class _Unwritable(dict):
    def items(self):
        raise ZeroDivisionError

    def __bool__(self):
        return True

    __iter__ = __len__ = items


def test_what_ended_the_process_is_left_out_next_time(tmp_path):
    part = gpu_results.Part(tmp_path / "part.json")
    part["cases"] = [1]
    with part.under("case"):
        with part.under("case, one contestant"):
            died = gpu_results.Part(tmp_path / "part.json")
        assert part["under_way"] == "case"
    assert died.refuses("case, one contestant") and not died.refuses("case") and died["cases"] == [1]
    assert gpu_results.Part(tmp_path / "part.json")["ended_the_process"] == []


def test_a_case_is_done_once_and_written_at_once(tmp_path):
    def fail():
        raise ValueError("no")

    part = gpu_results.Part(tmp_path / "part.json")
    part["ended_the_process"].append("culprit")
    for name, seconds, function in (
        ("a", 9, lambda: {"ms": 1}),
        ("a", 9, fail),
        ("b", 9, fail),
        ("late", 2, fail),
        ("culprit", 9, fail),
    ):
        part.case(name, gpu_results.Budget(seconds), function)
        assert part == gpu_results.read_json(part.path) | {"not_measured": part["not_measured"]}
    assert part["cases"] == [{"name": "a", "ms": 1}] and part["failed"] == {"b": "ValueError: no"}
    assert part["not_measured"] == ["late", "culprit"]


@pytest.mark.parametrize(
    ("code", "ending"),
    [
        ("import sys; print('words'); sys.exit(5)", "exit code 5"),
        ("import time; time.sleep(60)", "killed: out of time"),
    ],
)
def test_a_section_that_breaks_or_hangs_costs_no_more_than_its_time(code, ending, tmp_path, monkeypatch):
    script = tmp_path / "section.py"
    script.write_text(code)
    monkeypatch.setattr(gpu_runs, "FOLDER", script)
    options = types.SimpleNamespace(bytes=4096, quick=False)
    told = gpu_runs.run_child(
        "sweep", options, -9.0 if "sleep" in code else 20.0, tmp_path, lambda name, part: None
    )
    assert told["ending"] == ending and told["seconds"] < 10 and ("words" in told["log"]) == ("words" in code)


def test_options_of_the_smoke_test_are_small():
    quick, full = gpu_runs.parse_options(["--quick"]), gpu_runs.parse_options([])
    assert (
        quick.bytes <= 64e6 < full.bytes and set(quick.features) < set(full.features) and full.repeats >= 10
    )
    assert set(gpu_runs.parse_options(["--only", "sweep,fits"]).only) == {"sweep", "fits"}


def entry(ms, **more):
    return {"ms": ms, "share_of_read": 0.9 / ms, "times_ours": ms, **more}


REPORT = {
    "facts": {"gpu": {"name": "a GPU"}, "machine": {"processor": "a processor"}, "versions": {"cupy": "14"}},
    "evaluations": {
        "read": {"best_read_GB_per_s": 4000.0, "fastest": "8 loads"},
        "cases": [
            {
                "name": f"{label}: {dtype} {n}",
                "dtype": dtype,
                "features": n,
                "wrong": {"two products": "error 1"},
                "failed": {"JAX: closed form": "no"},
                "contestants": {
                    "ours": entry(1.0),
                    "plain read": entry(0.9),
                    "tiled: 32 MB": entry(2.5),
                    "PyTorch: autograd": entry(ms),
                    "ours: hessian_vector": entry(1.1),
                },
            }
            for label, dtype, n, ms in (
                ("quick", "float32", 16, 2.0),
                ("compiled", "float32", 16, 1.8),
                ("quick", "float32", 256, 3.0),
                ("quick", "float16", 16, 2.2),
            )
        ],
        "not_measured": ["compiled: float16 64"],
        "failed": {"copy": "no memory"},
        "ended_the_process": [],
    },
    "sweep": {
        "cases": [
            {
                "name": "float32 16",
                "base_ms": 1.0,
                "gain": 1.1,
                "failed": {"float32 16 {'rows': 1}": "no such kernel"},
                "best": {
                    "ms": 0.9,
                    "share_of_read": 0.9,
                    "change": {"rows": 4},
                    "kernel": "dense<>",
                    "slices": 512,
                },
            }
        ]
    },
    "outputs": {
        "cases": [
            {
                "name": "64 features, 4 outputs",
                "contestants": {"ours": {"ms": 1.0}},
                "wrong": {},
                "failed": {"tiled: 32 MB": "no room"},
            }
        ]
    },
    "fits": {
        "cases": [
            {
                "name": "ours: lbfgs",
                "seconds": 1.0,
                "passes": 30.0,
                "status": "converged",
                "suboptimality": 1e-9,
                "seconds_to_target": 0.5,
            },
            {"name": "PyTorch: autograd", "seconds": 2.0, "evaluations": 99, "status": "out of time"},
        ]
    },
    "upload": {"cases": [{"name": "256 features", "bytes": 1, "GB_per_s": {"upload": 20.0}}]},
    "break_even": {"cases": [{"name": "8 MB on cupy", "second_s": 0.01, "solver": "lbfgs", "passes": 9.0}]},
    "sections": {
        "evaluations": {"seconds": 9.0, "ending": "done"},
        "sweep": {"seconds": 3.0, "ending": "killed: out of time"},
        "outputs": {"seconds": 1.0, "ending": "done"},
    },
}


def test_the_table_names_everything():
    text = gpu_report.table(REPORT)
    for words in (
        "a GPU",
        "cupy 14",
        "best read 4000",
        "ours: hessian_vector",
        "16: PyTorch: autograd",
        "1.80",
        "wrong two products: error 1 (quick: float32 16, compiled: float32 16,",
        "{'rows': 4}",
        "0.500 s to 1e-6",
        "not reached",
        "compiled: float16 64",
        "failed copy: no memory",
        "sweep: 3 s, killed",
        "failed tiled: 32 MB: no room (64 features, 4 outputs)",
        "256 features: upload 20.0",
        "fit of 8 MB on cupy: 10.0 ms",
    ):
        assert words in text, words
    assert "no such kernel" not in text and gpu_report.table({})
    assert gpu_report.ratios(REPORT)["float32", 256] == ("tiled: 32 MB", 2.5)
    assert gpu_report.best_shares(REPORT, "float32")["PyTorch"] == {
        16: pytest.approx(0.5),
        256: pytest.approx(0.3),
    }


def test_the_picture_is_drawn(tmp_path):
    gpu_report.picture(REPORT, tmp_path / "gpu.svg")
    text = (tmp_path / "gpu.svg").read_text()
    assert "<svg" in text and "X in float16" in text
    gpu_report.picture({}, tmp_path / "empty.svg")


# -- cases on the stand-in
# ------------------------------------------------------------------------------------------------


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
    """The device's modules by name, on CuPy's stand-in with what the benchmark asks for beside the backend."""
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
