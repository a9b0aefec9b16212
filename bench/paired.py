"""Is any case of the race slower in this version than in another one?

    git worktree add ../before COMMIT && python bench/paired.py ../before --data DIR

Two processes, one a version, hold the same data and fit it in turns, so that a slow spell of the machine
hits both; the fastest of each counts. `--cases a,b` names cases of the race (bench/race/problems.py). On a
machine with other work, `--cpu` compares the seconds of all threads instead of those of the clock.
"""

import argparse
import json
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path

ROOT = Path(__file__).parent.parent


def child(folder, clock):
    """Fit the cases that are named on the input, one per line, and print seconds and reads of each."""
    sys.path.insert(0, str(Path(__file__).parent))
    from race.problems import CASES, load

    from logreg_accel import LogisticRegression

    warnings.simplefilter("ignore")
    name, data = None, None
    for line in sys.stdin:
        wanted = line.strip()
        if wanted != name:
            name, data = wanted, load(wanted, 1.0, folder)
        case = CASES[name]
        model = LogisticRegression(C=case.C, l1_ratio=case.l1_ratio, tol=1e-6)
        began = clock()
        model.fit(*data)
        print(json.dumps([clock() - began, model.n_passes_, str(model.solver_)]), flush=True)


def start(checkout, options):
    """A child with a checkout's package, and this version's data."""
    env = {**os.environ, "PYTHONPATH": str(checkout)}
    command = [sys.executable, "-P", __file__, "--child"]
    command += ["--data", options.data] if options.data else []
    command += ["--cpu"] if options.cpu else []
    return subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def fit(process, case):
    """[seconds, reads, solver] of one fit."""
    process.stdin.write(case + "\n")
    process.stdin.flush()
    return json.loads(process.stdout.readline())


def main():
    """Print a line a case: seconds and reads of both, and the ratio of the fastest."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("other", type=Path, nargs="?", help="a checkout of the other version")
    parser.add_argument("--data", help="the folder of real data")
    parser.add_argument("--cases", default="breast-cancer,well-1M-100", help="names, with commas")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--cpu", action="store_true", help="seconds of all threads, not of the clock")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        return child(options.data, time.process_time if options.cpu else time.perf_counter)
    versions = [start(checkout, options) for checkout in (options.other.resolve(), ROOT)]
    print("case                      before, ms   reads   after, ms   reads   ratio")
    for case in options.cases.split(","):
        fits = [[fit(process, case) for process in versions] for _ in range(options.rounds + 1)][1:]
        (before, reads, _), (after, reads_after, _) = (min(each) for each in zip(*fits, strict=True))
        print(
            f"{case:24s} {before * 1e3:11.2f} {reads:7.2f} {after * 1e3:11.2f} {reads_after:7.2f} "
            f"{after / before:7.3f}",
            flush=True,
        )
    for process in versions:
        process.stdin.close()
        process.wait(60)
    return 0


if __name__ == "__main__":
    sys.exit(main())
