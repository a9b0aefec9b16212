"""Run an unchanged script with scikit-learn's LogisticRegression fitted by this package.

Usage: `python -m logreg_accel.accelerate script.py args`.
"""

import argparse
import logging
import os
import runpy
import sys
from importlib.util import find_spec

from .backends import BACKENDS, unusable
from .interop.patching import patch_sklearn
from .interop.tally import TALLY


def main(argv=None):
    """Run a script, or with -m a module, under `patch_sklearn`."""
    parser = argparse.ArgumentParser(
        prog="python -m logreg_accel.accelerate",
        description="Run a Python script with scikit-learn's LogisticRegression fitted by logreg_accel.",
        epilog="Example: python -m logreg_accel.accelerate -v train.py --epochs 3",
    )
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="report on stderr which package made each fit, and why"
    )
    parser.add_argument(
        "--backend",
        choices=["auto", *BACKENDS],
        default="auto",
        help="backend that reads X (default: auto, by its size)",
    )
    parser.add_argument(
        "-m", dest="module", action="store_true", help="SCRIPT is the name of a module, as for python -m"
    )
    parser.add_argument("script", metavar="SCRIPT", help="the script to run")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="arguments of the script")
    options = parser.parse_args(argv)
    if options.verbose:
        _report_fits()
    if options.module:
        sys.path.insert(0, os.getcwd())
        if find_spec(options.script.partition(".")[0]) is None:
            parser.exit(2, f"{parser.prog}: there is no module {options.script!r}\n")
    elif not os.path.exists(options.script):
        parser.exit(2, f"{parser.prog}: there is no file {options.script!r}\n")
    if options.backend != "auto" and (reason := unusable(options.backend)):
        parser.exit(2, f"{parser.prog}: --backend {options.backend} cannot run here: {reason}\n")
    patch_sklearn(options.backend)
    sys.argv = [options.script, *options.arguments]
    try:
        if options.module:
            runpy.run_module(options.script, run_name="__main__", alter_sys=True)
        else:  # as Python itself: __file__ is absolute, and modules are found beside the file behind a link
            sys.path[0] = os.path.dirname(os.path.realpath(options.script))
            runpy.run_path(os.path.abspath(options.script), run_name="__main__")
    finally:
        print(f"logreg_accel: {TALLY.summary()}", file=sys.stderr)


def _report_fits():
    """Log fits on stderr by a handler of the package's own: one of the root logger would make a
    `logging.basicConfig` of the script do nothing."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
    log = logging.getLogger("logreg_accel")
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False


if __name__ == "__main__":
    main()
