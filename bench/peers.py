"""The race against every peer: python bench/peers.py [--data DIR] [--cases A,B] [--peers A,B] [--output DIR]
[--quick]

Whatever is installed of scikit-learn, scikit-learn-intelex, Snap ML, glum, PyTorch and liblinear fits the
same data with the same objective on the same threads as ours, each run in a process of its own after a
warm-up on a slice of the data. Every contestant climbs a ladder of settings; what counts is the time of its
fastest setting that reaches a relative suboptimality of 1e-4, 1e-6, 1e-8, judged in float64 by one formula
for all, against the least objective that anything found.

Tables go to stdout, all runs to DIR/peers.json after each of them, a picture to DIR/peers.svg. Run again with
the same output, it skips what is finished. `--list` names cases and contestants.
"""

import argparse
import importlib.metadata
import json
import os
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))  # where the package is not installed, the checkout serves

from race.child import bytes_of  # noqa: E402
from race.contestants import CONTESTANTS, can, missing  # noqa: E402
from race.problems import CASES, absent, load  # noqa: E402
from race.referee import Track  # noqa: E402
from race.report import OURS, picture, table  # noqa: E402

from logreg_accel.backends.threads import available_threads  # noqa: E402
from logreg_accel.cli.doctor import machine  # noqa: E402

_PACKAGES = (
    "logreg-accel numpy scipy numba scikit-learn scikit-learn-intelex snapml glum tabmat skglm torch".split()
)
_READS = "reads of ours"  # in `finished`, beside the contestants


def versions():
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


class Results:
    """peers.json: rewritten whole after every run, so that a race that is killed keeps what it had."""

    def __init__(self, path, threads, rows_scale):
        self.path = path
        fresh = {
            "machine": machine(),
            "versions": versions(),
            "threads": threads,
            "rows_scale": rows_scale,
            "missing": {},
            "left_out": {},
            "cases": {},
            "references": {},
            "runs": [],
            "steps": [],
            "cold": {},
            "finished": [],
        }
        self.values = json.loads(path.read_text()) if path.exists() else fresh
        for what in (
            lambda kept: kept["threads"],
            lambda kept: kept["rows_scale"],
            lambda kept: kept["machine"]["processor"],
        ):
            if what(self.values) != what(fresh):  # what two halves of one race must share
                sys.exit(
                    f"{path} is of {what(self.values)!r}, this run of {what(fresh)!r}: give another --output."
                )
        self.values["versions"] = fresh["versions"]
        self.values["missing"] = self.values["left_out"] = {}

    def keep(self, run):
        run = {key: value for key, value in run.items() if value not in (None, "")}
        if "seconds" in run:
            run["seconds"] = float(f"{run['seconds']:.4g}")
        self.values["runs"].append(run)
        self.write()
        outcome = f"{run['seconds']:.3g} s, F {run['value']:.12g}" if run["status"] == "ok" else run["status"]
        print(
            f"  {run['contestant']}, {run['dtype']}, {run['setting']}: {outcome}", file=sys.stderr, flush=True
        )

    def finished(self, case, name):
        return [case, name] in self.values["finished"]

    def finish(self, case, name):
        self.values["finished"].append([case, name])
        self.write()

    def forget(self, case, names):
        """As if these had not been raced."""
        kept = self.values
        kept["runs"] = [run for run in kept["runs"] if run["case"] != case or run["contestant"] not in names]
        kept["finished"] = [pair for pair in kept["finished"] if pair[0] != case or pair[1] not in names]
        if _READS in names:
            kept["steps"] = [entry for entry in kept["steps"] if entry["case"] != case]

    def write(self):
        compact = json.dumps(self.values, separators=(",", ":"))
        write(self.path, compact.replace("},{", "},\n{") + "\n")  # a line for each run


def write(path, text):
    """Whole or not at all."""
    half = path.with_suffix(f".{os.getpid()}.part")
    half.write_text(text, encoding="utf-8")
    half.replace(path)


def race(case, names, results, options):
    """One case: reference, contestants, then how many reads ours takes, and its time in a fresh process."""
    X, y = load(case, options.rows_scale, options.data)
    problem = CASES[case]
    results.values["cases"][case] = _facts(X, y, problem)
    print(f"{case}: {X.shape[0]} x {X.shape[1]}", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(prefix="race-") as place:
        track = Track(
            case,
            X,
            y,
            place,
            options.threads,
            options.seconds_per_run,
            results.keep,
            problem.C,
            options.repeats,
            problem.l1_ratio,
        )
        del X, y  # the contestants load their own
        if "value" not in results.values["references"].get(case, {}):
            results.values["references"][case] = track.reference()
        found = [run["value"] for run in results.values["runs"] if run["case"] == case and _ended(run)]
        known = results.values["references"][case].get("value", track.best)
        track.best = min([track.best, known, *found])
        results.write()
        for name in names:
            if name == _READS and not track.plain:
                pass  # newton-subsampled is asked about dense data of two classes
            elif name == _READS:
                results.values["steps"] += track.reads()
                results.values["cold"][case] = track.run("ours", "float32", {"tol": 1e-6}, warm=False)
            else:
                track.climb(name)
                if name == OURS and options.times_ours:
                    _limit(track, case, results, options.times_ours)
            results.finish(case, name)


def _facts(X, y, problem):
    """What the tables say of a case."""
    return {
        "rows": X.shape[0],
        "features": X.shape[1],
        "positives": int(y.sum()) if y.max() == 1 else None,
        "bytes": bytes_of(X),
        "about": problem.about,
        "generated": bool(problem.rows),
        "C": problem.C,
        "l1_ratio": problem.l1_ratio,
    }


def _ended(run):
    return run["status"] == "ok"


def _limit(track, case, results, times_ours):
    """End the fits of others that take that many times as long as the slowest of ours, and 2 s at least."""
    runs = (run for run in results.values["runs"] if (run["case"], run["contestant"]) == (case, OURS))
    slowest = max((run["seconds"] for run in runs if _ended(run)), default=track.seconds)
    track.seconds = min(track.seconds, max(2.0, times_ours * slowest))


def _parser():
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0], formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", help="folder with real data sets; without it generated ones and breast cancer are raced"
    )
    parser.add_argument("--cases", help="names, separated by commas; all by default")
    parser.add_argument(
        "--peers",
        help="names of contestants, or their beginnings, separated by commas; all by default. 'ours', "
        "with which the rest is compared, always races",
    )
    parser.add_argument("--rows-scale", type=float, default=1.0, help="share of the rows")
    parser.add_argument(
        "--seconds-per-run",
        type=float,
        default=None,
        help="a fit that takes longer is ended (60; 5 with --quick)",
    )
    parser.add_argument(
        "--repeats",
        type=int,
        default=None,
        help="of fits under 0.3 s, the fastest counts (20; 2 with --quick)",
    )
    parser.add_argument(
        "--times-ours",
        type=float,
        default=None,
        metavar="K",
        help="also end fits that take K times as long as the slowest of 'ours' on that data, "
        "and 2 s at least",
    )
    parser.add_argument("--threads", type=int, default=available_threads())
    parser.add_argument("--output", type=Path, help="folder for peers.json and peers.svg")
    parser.add_argument("--quick", action="store_true", help="a fiftieth of the rows")
    parser.add_argument(
        "--fits-only",
        action="store_true",
        help="neither count the reads of ours nor time it in a fresh process",
    )
    parser.add_argument("--again", action="store_true", help="race what is finished once more")
    parser.add_argument("--list", action="store_true", help="name cases and contestants, and what is missing")
    return parser


def arguments(words=None):
    """The options, with what follows from them: cases, and names of contestants."""
    parser = _parser()
    options = parser.parse_args(words)
    options.rows_scale /= 50 if options.quick else 1
    options.seconds_per_run = options.seconds_per_run or (5.0 if options.quick else 60.0)
    options.repeats = options.repeats or (2 if options.quick else 20)
    options.cases = options.cases.split(",") if options.cases else list(CASES)
    if unknown := [name for name in options.cases if name not in CASES]:
        parser.error(f"--cases {', '.join(unknown)}: expected some of {', '.join(CASES)}")
    wanted = [word.strip() for word in options.peers.split(",")] if options.peers is not None else [""]
    meant = {
        word: [word]
        if word in CONTESTANTS
        else [name for name in CONTESTANTS if name.lower().startswith(word.lower())]
        for word in wanted
    }
    if unknown := [word for word in wanted if not meant[word]]:
        parser.error(f"--peers {', '.join(unknown)}: expected some of {', '.join(CONTESTANTS)}")
    options.names = [
        name for name in CONTESTANTS if name == OURS or any(name in names for names in meant.values())
    ]
    return options


def main(words=None):
    options = arguments(words)
    lacking = {name: why for name in options.names if (why := missing(name))}
    left_out = {case: why for case in options.cases if (why := absent(case, options.data))}
    if options.list:
        for title, all_of, why in (
            ("cases", options.cases, left_out),
            ("contestants", options.names, lacking),
        ):
            print(
                f"{title}:",
                *(f"  {name}" + (f" ({why[name]})" if name in why else "") for name in all_of),
                sep="\n",
            )
        return
    if options.output:
        options.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as nowhere:
        folder = options.output or Path(nowhere)
        results = Results(folder / "peers.json", options.threads, options.rows_scale)
        results.values |= {"missing": lacking, "left_out": left_out}
        names = [name for name in options.names if name not in lacking] + [_READS] * (not options.fits_only)
        for case in (case for case in options.cases if case not in left_out):
            if options.again:
                results.forget(case, names)
            able = [name for name in names if name == _READS or can(name, CASES[case].needs)]
            if todo := [name for name in able if not results.finished(case, name)]:
                results.forget(case, todo)  # what a killed race left half done
                race(case, todo, results, options)
        results.write()
        print(table(results.values))
        try:
            write(folder / "peers.svg", picture(results.values))
        except ImportError as error:
            print(f"no picture: {error}", file=sys.stderr)


if __name__ == "__main__":
    main()
