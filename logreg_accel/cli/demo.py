"""`logreg-accel demo`: what the package does, on generated and on real data, in about a minute."""

import importlib.util
import textwrap

from .. import backends
from ..persistence.writing import write_whole
from . import demo_measures as measures
from .doctor import machine
from .output import Progress, check_output, print_json, print_table

_MEMORY = 128  # megabytes for the fit of rows that exceed them
_CV_ROWS, _BACKEND_ROWS = 100_000, 200_000


def demo(options):
    """Measure and show one chapter after the other, then write the page."""
    progress = Progress(options.quiet)
    check_output("--output", options.output, suffixes=[".html", ".htm"])
    show = _Shown(silent=options.json or options.quiet)
    for name, why in backends().items():
        if why:
            progress.say(f"without {name}: {why}")
    others = measures.busy_elsewhere()
    if others:
        progress.say(others)
    with progress.working(f"generating {options.rows:,} x {options.features} float32"):
        X, y = measures.generated(options.rows, options.features)
    report = {"machine": machine(), "busy": others, "rows": options.rows, "features": options.features}

    report["generated"] = measures.race(X, y, progress.working)
    show.race(
        f"Generated, {options.rows:,} x {options.features} float32, default settings", report["generated"]
    )
    report["real"] = {}
    for name, (A, b, what) in measures.real().items():
        report["real"][name] = measures.race(A, b, progress.working)
        show.race(f"{name.capitalize()}, {what}, default settings", report["real"][name])
    report["cross_validation"] = measures.cross_validation(X[:_CV_ROWS], y[:_CV_ROWS], progress.working)
    show.cross_validation(report["cross_validation"])
    if X.nbytes > 1.25e6 * _MEMORY:
        report["stream"] = measures.streamed(X, y, _MEMORY, progress.working)
        show.stream(report["stream"])
    report["backends"] = measures.every_backend(X[:_BACKEND_ROWS], y[:_BACKEND_ROWS], progress.working)
    show.backends(report["backends"], min(options.rows, _BACKEND_ROWS))
    if importlib.util.find_spec("matplotlib") is None:
        progress.say("no page without matplotlib: pip install 'logreg-accel[report]'")
    else:
        from .demo_page import demo_page

        with progress.working("the page"):
            page = demo_page(report)
        write_whole(options.output, lambda file: file.write(page.encode()))
        report["page"] = options.output
        show.sentence(f"The page with the figures: {options.output}")
    if options.json:
        print_json(report)


class _Shown:
    """Prints chapters, or nothing."""

    def __init__(self, silent):
        self.silent = silent

    def sentence(self, text):
        if not self.silent:
            print(textwrap.fill(text, 78), end="\n\n", flush=True)

    def table(self, title, headings, rows):
        if not self.silent:
            print_table(title, headings, rows)

    def race(self, title, runs):
        self.table(title, RACE, race_rows(runs))
        self.sentence(verdict(runs))

    def cross_validation(self, run):
        self.sentence(cv_sentence(run))

    def stream(self, run):
        self.sentence(stream_sentence(run))

    def backends(self, runs, rows):
        self.table(f"Every backend, {rows:,} rows, newton-cholesky", BACKENDS, backend_rows(runs))
        self.sentence(
            "The first fit of a process compiles code that is not on disk yet; its time is shown separately."
        )


# -- sentences and rows that the page has, too ---------------------------------------------------------------

AT_THE_OPTIMUM = 1e-9
RACE = ["", "seconds", "steps", "reads of X", "(F - F*)/F*"]
BACKENDS = ["backend", "seconds", "compiling", "reads", "GB/s", "diff. from numpy"]


def race_rows(runs):
    return [
        [
            run["who"],
            f"{run['seconds']:.3g}",
            str(run["steps"]),
            "" if run["passes"] is None else f"{run['passes']:.3g}",
            f"{run['suboptimality']:.0e}",
        ]
        for run in runs
    ]


def verdict(runs):
    """How many times faster, and closer to the optimum, logreg_accel is than each of the others."""
    ours, *others = runs
    told = [
        f"{_times(run['seconds'] / ours['seconds'], 'faster', 'slower')} than {run['who']} and "
        + _closeness(ours["suboptimality"], run["suboptimality"])
        for run in others
    ]
    compiled = f"; {ours['first_seconds']:.2g} s when it compiles" if "numba" in ours["chosen"] else ""
    return f"logreg_accel ({ours['chosen']}{compiled}) is {'; '.join(told)}."


def _closeness(ours, theirs):
    if max(ours, theirs) < AT_THE_OPTIMUM:
        return "as close to the optimum"
    ratio = theirs / ours
    if ratio > 1e6:
        return "more than a million times closer to the optimum"
    return _times(ratio, "closer to the optimum", "farther from the optimum")


def _times(ratio, more, less):
    ratio, word = (ratio, more) if ratio >= 1 else (1 / ratio, less)
    return f"{ratio:,.0f} times {word}" if ratio >= 10 else f"{ratio:.1f} times {word}"


def cv_sentence(run):
    share = run["seconds"] / run["single_seconds"]
    return (
        f"Cross-validation: {run['models']} models of {run['rows']:,} x {run['features']} (10 penalties in 5 "
        f"folds) in {run['seconds']:.3g} s and {run['passes']:.3g} reads, the time of {share:.0f} single "
        f"fits; each of the {run['models']} is proven to {run['worst_bound']:.0e} or better."
    )


def stream_sentence(run):
    return (
        f"Larger than memory: files of {run['file_MB']:.0f} MB, with {run['memory_MB']} MB of memory, in "
        f"{run['seconds']:.3g} s and {run['passes']:.3g} reads ({run['status']}). The same rows in memory "
        f"take {run['seconds_in_memory']:.3g} s, and coefficients differ by {run['difference']:.0e}."
    )


def backend_rows(runs):
    return [
        [
            run["backend"],
            f"{run['seconds']:.3g}",
            f"{run['compile_seconds']:.2g}",
            f"{run['passes']:.3g}",
            f"{run['GB_per_s']:.1f}",
            f"{run['difference']:.0e}",
        ]
        for run in runs
    ]
