"""The plain parts of the GPU benchmark, which need no GPU."""

import json
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from logreg_accel.backends import unusable
from logreg_accel.kernels.cuda import shapes

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT / "bench" / "gpu"))

import gpu_report  # noqa: E402
import gpu_results  # noqa: E402
import gpu_runs  # noqa: E402
import gpu_variants  # noqa: E402


def test_the_parent_loads_no_gpu_library():
    heavy = ("cupy", "torch", "jax", "matplotlib", "sklearn")
    code = f"import sys, gpu_runs; print([n for n in {heavy} if n in sys.modules])"
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


@pytest.mark.parametrize("seconds", [400, 80, 20])
@pytest.mark.parametrize("overdrawn", [0, 4])
def test_every_section_has_its_turn(seconds, overdrawn):
    """Each section here takes longer than its share of the time."""
    shares = {name: share for name, (_, share) in gpu_runs.SECTIONS.items() if name != "sweep"}
    left, given = seconds - 20, []
    for name in list(shares):
        given.append(gpu_runs.seconds_of(name, shares, left))
        del shares[name]
        left -= given[-1] + (overdrawn if seconds > 20 else 0)
    assert sum(given) <= (seconds - 20) * (1 + 1e-12)
    if seconds == 400:
        assert min(given) >= gpu_runs.LEAST_SECONDS


def test_errors_are_collected_and_a_lost_device_ends_the_section():
    failures = {}

    def fail(text):
        raise RuntimeError(text)

    assert (
        gpu_results.attempt(failures, "a", lambda x: x + 1, 1) == 2
        and gpu_results.attempt(failures, "b", fail, "out of\nmemory") is None
    )
    assert failures["b"].startswith("RuntimeError: out of memory [gpu_results.py:")
    assert "> test_bench_gpu.py:" in failures["b"] and "fail: raise RuntimeError(text)]" in failures["b"]
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
    assert part["cases"] == [{"name": "a", "ms": 1}] and list(part["failed"]) == ["b"]
    assert part["failed"]["b"].startswith("ValueError: no [")
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
    options = types.SimpleNamespace(bytes=4096, quick=False, rehearse=False)
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
