"""The CUDA backend against the alternatives, on one GPU: python bench/gpu [options]

    overhead     what an evaluation costs beside its kernels
    first        the first fit of each kind, with everything to compile, and the second one
    outputs      several columns of weights; softmax and many models in one read
    fits         whole fits to a suboptimality of 1e-6 against PyTorch's L-BFGS and cuML's loop, rebuilt
    widths       ours at widths that are no powers of two, with the Hessian-vector product
    break_even   fits from host arrays on every backend, by size
    upload       host to device
    models       fits of other sizes, of softmax and of sparse rows; predictions
    evaluations  loss and gradient at one point: ours, cuBLAS (two products), generic body, PyTorch and JAX
    sweep        variants of our kernel's launch, to tune kernels/cuda/shapes.py by; only if asked for

All is set against the fastest plain read of the same bytes, measured in the same run. Every section runs in a
process of its own with a share of the seconds: a fault or a hang costs that section's rest and nothing else.
Results are written after every case to gpu.json in the output folder; gpu.svg is the picture, and a table
goes to stdout at the end.
"""

import argparse
import contextlib
import importlib
import importlib.metadata
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from gpu_report import picture, table
from gpu_results import Budget, DeviceLost, Part, attempt, read_json, write_json

FOLDER = Path(__file__).resolve().parent  # what a child runs
# section -> its module and its share of the seconds; what one leaves over goes to the next, so that the
# sections with the most cases come last
SECTIONS = {
    "overhead": ("gpu_overhead", 6),
    "first": ("gpu_first", 12),
    "outputs": ("gpu_evaluations", 16),
    "fits": ("gpu_fits", 18),
    "widths": ("gpu_evaluations", 18),
    "break_even": ("gpu_host", 10),
    "upload": ("gpu_host", 6),
    "models": ("gpu_models", 24),
    "evaluations": ("gpu_evaluations", 30),
    "sweep": ("gpu_sweep", 20),
}
LEAST_SECONDS = 8  # every section that is still to come keeps them: enough to start it and measure a case
FEATURES = (256, 1024, 4096, 16, 64, 8192)  # the most important ones first
WIDTHS = (100, 1028, 28, 784, 4100, 54, 516, 2000, 5000, 16, 256, 1024, 4096, 8192)
SWEEP_WIDTHS = (1028, 100, 516, 4100, 784, 2000, 5000, 28)
# JAX takes memory as it needs it, float32 products stay float32, Inductor starts no processes
_ENVIRONMENT = {
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    "CUPY_TF32": "0",
    "NVIDIA_TF32_OVERRIDE": "0",
    "TORCHINDUCTOR_COMPILE_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "2",
}


def facts(options, budget, part):
    """Whether the backend can run at all, and on what."""
    from logreg_accel.backends import unusable
    from logreg_accel.cli.doctor import machine

    part.update(machine=machine(), why_not=unusable("cupy"), versions={})
    for package in ("cupy-cuda13x", "cupy-cuda12x", "torch", "jax", "numpy", "numba"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            part["versions"][package] = importlib.metadata.version(package)
    if part["why_not"] is None:
        part["gpu"] = attempt(part["failed"], "nvidia-smi", nvidia_smi) or {}


def nvidia_smi():
    query = "name,driver_version,memory.total,clocks.sm,clocks.mem,clocks.max.sm,clocks.max.mem,power.limit"
    told = subprocess.run(
        ["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader"],
        capture_output=True,
        text=True,
        timeout=20,
    )
    return dict(zip(query.split(","), told.stdout.splitlines()[0].split(", "), strict=True))


def run_section(name, options):
    """A section in this process; its results go to its file as they come."""
    part = Part(options.part)
    try:
        with rehearsal() if options.rehearse else contextlib.nullcontext():
            section = facts if name == "facts" else getattr(importlib.import_module(SECTIONS[name][0]), name)
            section(options, Budget(options.seconds), part)
    except DeviceLost as lost:
        part["error"] = str(lost)
        part.save()  # "under_way" stays: what ran is left out next time
        return 3
    part.save()
    return 0


def rehearsal():
    """The stand-in for CuPy that the tests have."""
    sys.path.append(str(FOLDER.parents[1] / "tests"))
    from cuda_on_cpu import day

    return day.for_a_section()


def run_child(name, options, seconds, folder, merge):
    """A section in a process of its own, at most `seconds` and a little; started again where a case ended it.

    What it has goes to merge(name, values) whenever it writes; returned are seconds, ending and, of a bad
    one, the last words.
    """
    part, log = folder / f"{name}.json", folder / f"{name}.log"
    budget, began = Budget(seconds), time.monotonic()
    environment = _ENVIRONMENT | os.environ
    if name == "first":
        environment["CUPY_CACHE_DIR"] = str(folder / "nothing compiled")
    for _ in range(4):
        command = [
            sys.executable,
            str(FOLDER),
            "--section",
            name,
            "--part",
            str(part),
            "--bytes",
            str(options.bytes),
            "--seconds",
            str(budget.left()),
            *(f"--{size}" for size in ("quick", "rehearse") if getattr(options, size)),
        ]
        with open(log, "a") as out:
            child = subprocess.Popen(
                command, stdout=out, stderr=out, env=environment, cwd=folder, process_group=0
            )
        seen = None
        while child.poll() is None and budget.left() > -10:
            time.sleep(0.2)
            if part.exists() and seen != (seen := part.stat().st_mtime_ns):
                merge(name, read_json(part))
        late = child.poll() is None
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)  # and the compilers that it started
        child.wait()
        values = read_json(part)
        merge(name, values)
        if late or child.returncode == 0 or not values.get("under_way") or budget.left() < 15:
            break
    told = {
        "seconds": time.monotonic() - began,
        "ending": "killed: out of time"
        if late
        else "done"
        if child.returncode == 0
        else f"exit code {child.returncode}",
    }
    if told["ending"] != "done":
        told["log"] = log.read_text(encoding="utf-8", errors="replace")[-1500:]
    return told


def seconds_of(name, shares, left):
    """What a section gets of the seconds left: its share, where each of those to come keeps its least."""
    spare = left - LEAST_SECONDS * len(shares)
    if spare <= 0:
        return left / len(shares)
    return LEAST_SECONDS + spare * shares[name] / sum(shares.values())


def run_all(options):
    """Every section, in order; then the picture and the table. 0 where the evaluations were measured."""
    output, whole = Path(options.output), Budget(options.seconds)
    report = {
        "options": {"bytes": options.bytes, "seconds": options.seconds, "quick": options.quick},
        "time": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "sections": {},
    }

    def merge(name, values):
        report[name] = values
        write_json(output / "gpu.json", report)

    with tempfile.TemporaryDirectory(prefix="bench-gpu-") as temporary:
        told = run_child(
            "facts",
            options,
            min(90.0, whole.left()),
            Path(temporary),
            lambda name, values: report.update({name: values}),
        )
        why_not = report["facts"].get("why_not", told.get("log", told["ending"]))
        if why_not is not None:
            print(f"no benchmark: {why_not}", file=sys.stderr)
            return 1
        shares = {name: share for name, (_, share) in SECTIONS.items() if name in options.only}
        for name in list(shares):
            seconds = seconds_of(name, shares, whole.left() - 8)
            del shares[name]
            if seconds < 5:
                report["sections"][name] = {"seconds": 0.0, "ending": "not measured: no time left"}
                continue
            print(f"{name}: up to {seconds:.0f} s", file=sys.stderr, flush=True)
            report["sections"][name] = run_child(name, options, seconds, Path(temporary), merge)
    report["failed"] = {}
    attempt(
        report["failed"], "picture", picture, report, output / "gpu.svg"
    )  # numbers without a picture are still numbers
    write_json(output / "gpu.json", report)
    print(table(report), *(f"{what} failed: {why}" for what, why in report["failed"].items()), sep="\n")
    return 0 if report.get("evaluations", {}).get("cases") or "evaluations" not in options.only else 1


def parse_options(words=None):
    parser = argparse.ArgumentParser(
        "python bench/gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bytes", type=float, default=4e9, help="of X in an evaluation")
    parser.add_argument("--seconds", type=float, default=400.0, help="for everything")
    parser.add_argument(
        "--output", default=str(FOLDER.parent / "results" / "gpu"), help="folder of the results"
    )
    parser.add_argument(
        "--only", default=",".join(name for name in SECTIONS if name != "sweep"), help="sections, by comma"
    )
    parser.add_argument("--quick", action="store_true", help="64 MB and few repeats: does it run at all")
    parser.add_argument(
        "--rehearse",
        action="store_true",
        help="on the tests' stand-in for CuPy, without a GPU, a few kilobytes",
    )
    parser.add_argument("--section", help=argparse.SUPPRESS)
    parser.add_argument("--part", help=argparse.SUPPRESS)
    options = parser.parse_args(words)
    options.only = options.only.split(",")
    if unknown := set(options.only) - set(SECTIONS):
        parser.error(f"--only: {', '.join(sorted(unknown))}; the sections are {', '.join(SECTIONS)}")
    options.bytes = int(min(options.bytes, 64e6) if options.quick else options.bytes) // 4096 * 4096
    options.repeats = 3 if options.quick else 11
    options.features = (256, 16) if options.quick else FEATURES
    options.widths = (100, 28) if options.quick else WIDTHS
    options.sweep_widths = options.widths if options.quick else SWEEP_WIDTHS
    options.megabytes = (1, 8) if options.quick else (64, 32, 8, 256, 1)
    options.fit_rows, options.fit_features = 50_000 if options.quick else 10_000_000, 512
    options.model_rows = 20_000 if options.quick else 2_000_000
    options.smaller_fits = (10_000,) if options.quick else (200_000, 2_000_000)
    options.overhead_shapes = ((1000, 28), (1000, 100), (1000, 1028), (1_000_000, 100))
    return shrunk(options) if options.rehearse else options


def shrunk(options):
    """Everything once, as small as it can be: on the stand-in a launch takes a process."""
    options.bytes, options.repeats, options.megabytes = 64_000, 1, (0.02,)
    options.features = options.widths = options.sweep_widths = (16,)
    options.fit_rows, options.fit_features, options.model_rows = 400, 8, 400
    options.smaller_fits, options.overhead_shapes = (300,), ((1000, 16),)
    return options


def main(words=None):
    options = parse_options(words)
    return run_section(options.section, options) if options.section else run_all(options)
