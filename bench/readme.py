"""Writes the figures of both READMEs from bench/results: python bench/readme.py [--check]"""

import html
import json
import math
import re
import sys
from pathlib import Path

from race import slower
from race.report import OURS, contestants_of, standing

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "bench" / "results"
PICTURE = RESULTS / "peers" / "slower.svg"
BEGIN = "<!-- figures: written by bench/readme.py from bench/results, not by hand -->"
END = "<!-- end of figures -->"
SHOWN = ("heavy-200k-60", "ill-1M-100", "mnist", "a9a-sparse")  # three that we win, one that we lose


def table(headings, rows):
    lines = ["| " + " | ".join(headings) + " |", "|" + "---|" * len(headings)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def machine_line(machine):
    return (
        f"{machine['processor']}, {machine['threads']} threads, {machine['memory_GiB']:g} GiB, "
        f"Python {machine['python']}, {machine['blas'].split(',')[0]}"
    )


def passes():
    """Loss and gradient on the Numba backend against the plain read and the plain way."""
    report = json.loads((RESULTS / "passes.json").read_text())
    rows = [
        [
            str(r["features"]),
            r["dtype"],
            "rows" if r["layout"] == "C" else "columns",
            f"{r['rows_per_s'] / 1e6:.3g}",
            f"{r['GB_per_s']:.1f}",
            f"{r['plain_read_GB_per_s']:.1f}",
            f"{r['share_of_plain_read']:.2f}",
            "" if r["times_plain_numpy"] is None else f"{r['times_plain_numpy']:.1f}",
            f"{r['times_one_thread']:.2f}",
        ]
        for r in report["passes"]
    ]
    return (
        f"One evaluation (loss and gradient) on the Numba backend, X of {report['gigabytes']:g} GB, "
        f"best of {report['repeats']} runs taken in turns ({machine_line(report['machine'])}). "
        "The plain read is the fastest of a streaming sum and BLAS's `X @ w` in the same run; "
        "plain NumPy is `X @ w`, the formulas, `X.T @ r`. Measure yours with `logreg-accel bench`.\n\n"
        + table(
            [
                "features",
                "stored as",
                "by",
                "M rows/s",
                "GB/s",
                "plain read GB/s",
                "share",
                "× plain NumPy",
                "× one thread",
            ],
            rows,
        )
    )


def alternatives():
    """The same evaluation done otherwise."""
    report = json.loads((RESULTS / "alternatives.json").read_text())
    names = list(report["alternatives"][0]["GB_per_s"])
    rows = [[name, *(f"{entry['GB_per_s'][name]:.1f}" for entry in report["alternatives"])] for name in names]
    return "What lost, in GB/s of float32 X by features (`bench/alternatives.py`):\n\n" + table(
        ["loop", *(str(entry["features"]) for entry in report["alternatives"])], rows
    )


def fits():
    """Whole fits, from the stored baseline of pytest-benchmark."""
    report = json.loads(max(RESULTS.glob("*/*_baseline.json")).read_text())
    found = {}
    for run in report["benchmarks"]:
        if run["group"] == "fit":
            info = run["extra_info"]
            key = f"{info['rows']:,} × {info['features']}", run["params"]["solver"]
            found.setdefault(key, {})[run["params"]["name"]] = (run["stats"]["min"], info["passes"])
    rows = [
        [
            size,
            solver,
            *(
                f"{seconds:.2f} s, {reads:.0f}"
                for seconds, reads in (by[name] for name in ("numpy", "numba"))
            ),
        ]
        for (size, solver), by in found.items()
    ]
    return f"Whole fits, float32, `tol=1e-6` ({machine_line(report['machine_info'])}):\n\n" + table(
        ["data", "solver", "numpy: seconds, reads of X", "numba: seconds, reads of X"], rows
    )


def race():
    """Ours against the fastest peer on every data set, from bench/peers.py."""
    results = race_results()
    raced = ", ".join(
        f"{name} {version}"
        for name, version in results["versions"].items()
        if version and name not in ("numpy", "scipy")
    )
    limits = [run["limit"] for run in results["runs"] if run["status"] == "timed out"]
    return (
        "The race: seconds of the fastest setting that reaches a relative suboptimality of 1e-6, "
        "C = 1 where nothing else is said, beside the fastest peer; "
        f"fits were ended after {min(limits):.2g} to {max(limits):.2g} s "
        f"({machine_line(results['machine'])}; {raced}). "
        "Full tables: `python bench/peers.py`, pictures: `bench/results/peers`.\n\n"
        + table(
            [
                "data",
                "size",
                "what",
                "ours, s",
                "reads of X",
                "fastest peer",
                "its s",
                "× ours",
                "peers raced",
            ],
            [race_row(results, case) for case in results["cases"]],
        )
    )


def race_results():
    return json.loads((RESULTS / "peers" / "peers.json").read_text())


def race_row(results, case):
    """A case of the race as cells of a table."""
    about = results["cases"][case]
    found = {name: standing(results, case, name)["targets"][1e-6] for name in contestants_of(results, case)}
    peers = {name: run["seconds"] for name, run in found.items() if run and not name.startswith("ours")}
    ours, best = found.get(OURS), min(peers, key=peers.get, default=None)
    reads = ours and ours.get("reads")
    strength = f", C = {about['C']:g}" if about["C"] != 1 else ""
    return [
        case,
        f"{about['rows']:,} × {about['features']}",
        about["about"] + strength,
        f"{ours['seconds']:.3g}" if ours else "not reached",
        "" if reads is None else f"{reads:.3g}",
        best or "none reached it",
        f"{peers[best]:.3g}" if best else "",
        f"{peers[best] / ours['seconds']:.3g}" if best and ours else "",
        str(sum(not name.startswith("ours") for name in found)),
    ]


def headline():
    """Four rows of the race, and the picture of all of them."""
    results = race_results()
    found = slower.ratios(results)
    best = [slower.fastest(times) for times in found.values()]
    won, most = sum(times > 1 for times in best), max(times for times in best if times < math.inf)
    rows = [race_row(results, case) for case in SHOWN]
    headings = ["data", "size", "what", "ours, s", "reads of X", "fastest peer", "its s", "times ours"]
    return (
        f"On {won} of {len(found)} data sets no other library came to 1e-6 of the optimum sooner "
        f"({machine_line(results['machine'])}; a library counts with its fastest solver and setting):\n\n"
        + table(headings, [row[:-1] for row in rows])
        + f"\n\n![Times of the other libraries as multiples of ours on {len(found)} data sets. The "
        f"fastest takes {min(best):.2g} to {most:.2g} times as long.]({PICTURE.relative_to(ROOT)})"
    )


def gpu():
    """One evaluation on the cupy backend against the plain read, and whole fits beside PyTorch."""
    report = json.loads((RESULTS / "gpu" / "h100.json").read_text())
    facts, fits_ = report["facts"], report["fits"]
    shares = {(case["features"], case["dtype"]): case["contestants"] for case in report["widths"]["cases"]}
    dtypes, others = (
        ("float32", "float16", "uint8"),
        ("evaluation and its host", "Hessian-vector", "two products"),
    )

    def share(features, dtype, name):
        told = shares.get((features, dtype), {}).get(name)
        return f"{told['share_of_read']:.2f}" if told else ""

    widths = [
        [
            str(features),
            *(share(features, dtype, "our kernel") for dtype in dtypes),
            *(share(features, "float32", name) for name in ("ours", "ours: hessian_vector", "two products")),
        ]
        for features in sorted({features for features, _ in shares})
    ]
    fits_rows = [
        [
            case["name"],
            f"{case['seconds']:.3g}",
            f"{case.get('passes', case.get('evaluations')):.4g}",
            f"{case['suboptimality']:.1e}",
            "not reached" if case["seconds_to_target"] is None else f"{case['seconds_to_target']:.3g}",
        ]
        for case in sorted(fits_["cases"], key=lambda case: case["seconds_to_target"] or 1e9)
    ]
    versions = facts["versions"]
    return (
        f"On a GPU ({facts['gpu']['name']}, CuPy {versions['cupy-cuda13x']}, {report['time'][:10]}): "
        "the share of the measured plain read that the kernel of one evaluation reaches, "
        f"X of {report['options']['bytes'] / 1e9:.0f} GB. The plain read is the best of a loop of loads "
        "and a loop of bulk copies in the same run; two products are `X @ w` and `X.T @ r` by cuBLAS.\n\n"
        + table(["features", *dtypes, *(f"float32, {what}" for what in others)], widths)
        + f"\n\nFits of {fits_['rows']:,} × {fits_['features']} {fits_['dtype']} there "
        f"({fits_['bytes'] / 1e9:.3g} GB, PyTorch {versions['torch']}):\n\n"
        + table(["", "seconds", "reads or evaluations", "suboptimality at the end", "s to 1e-6"], fits_rows)
        + "\n\nSeconds to 1e-6 at other sizes; cuML's loop is rebuilt, and neither it nor PyTorch proves "
        "where it is:\n\n" + _other_fits(report)
    )


def _other_fits(report):
    cases = [case for case in report["models"]["cases"] if "fits" in case]
    names = ("ours", "cuML's loop, rebuilt", "PyTorch: L-BFGS")

    def seconds(fit):
        return "" if fit is None else f"{fit['seconds_to_target'] or math.inf:.3g}"

    rows = [[case["about"], *(seconds(case["fits"].get(name)) for name in names)] for case in cases]
    return table(["data", *names], rows).replace("inf", "not reached")


def larger_than_memory():
    """A fit of Parquet files that are larger than the memory it may use."""
    told = json.loads((RESULTS / "parquet.json").read_text())
    first, resumed, found = (told[name] for name in ("unbroken", "gone on with", "the cache found"))
    later = first["reads, GB/s"][1:]
    epochs = told["SGDClassifier, steps of 0.01, averaged: seconds, relative suboptimality"]
    peak = max(fit["peak of the resident set, GB"] for fit in (first, resumed))
    here, plain = told["in memory"], told["plain read of the blocks, GB/s"]
    return (
        f"{told['rows']:,} rows of 100 columns, {told['gigabytes']:g} GB of Parquet files, with "
        f"{told['memory']} of memory ({machine_line(told['machine'])}): a fit takes {first['seconds']:.0f} s "
        f"and {first['reads']:.2f} reads. Decoding the files and writing their blocks takes "
        f"{first['first read, seconds']:.0f} s; the other reads run at {min(later):.1f} to {max(later):.1f} "
        f"GB/s, where a plain read from the disk has {plain:.1f}, since the system keeps what it has read. "
        f"The next fit finds the blocks, and takes {found['seconds']:.0f} s. A first fit that is killed "
        f"after {told['killed after, seconds']:.0f} s and called again takes {resumed['seconds']:.0f} s "
        f"more, and its weights {'have the same bits' if told['the same bits'] else 'DIFFER'}. "
        f"The process takes up to {peak:.2f} GB, libraries included. "
        f"The suboptimality is {first['suboptimality']:.0e}; "
        f"scikit-learn's SGDClassifier reaches {epochs[-1][1]:.0e} in {epochs[-1][0]:.0f} s and "
        f"{len(epochs)} epochs. The same rows take {here['reading']:.0f} s to read into memory and "
        f"{here['seconds']:.1f} s to fit there; weights differ by "
        f"{told['largest difference of a coefficient, relative']:.0e} of the largest."
    )


def rendered():
    """{file: its text with the figures as the results have them}."""
    parts = {
        "README.md": (headline,),
        "bench/README.md": (passes, alternatives, fits, race, larger_than_memory, gpu),
    }
    texts = {}
    for name, figures in parts.items():
        head, rest = (ROOT / name).read_text(encoding="utf-8").split(BEGIN)
        told = "\n\n".join(figure() for figure in figures)
        texts[ROOT / name] = f"{head}{BEGIN}\n\n{told}\n\n{END}{rest.split(END)[1]}"
    return texts


def drawn():
    """The ratios that the picture's description holds."""
    told = re.search(r"<dc:description>(.*?)</dc:description>", PICTURE.read_text(encoding="utf-8"), re.S)
    return json.loads(html.unescape(told[1]))


if __name__ == "__main__":
    if "--check" not in sys.argv:
        for path, text in rendered().items():
            path.write_text(text, encoding="utf-8")
        slower.draw(race_results(), PICTURE)
    else:
        stale = [path for path, text in rendered().items() if text != path.read_text(encoding="utf-8")]
        if drawn() != slower.ratios(race_results()):
            stale.append(PICTURE)
        if stale:
            names = ", ".join(str(path.relative_to(ROOT)) for path in stale)
            sys.exit(f"{names}: not what bench/results says; run python bench/readme.py")
