"""The command line's words: every verb and its options."""

import argparse

_DATA = (
    "data: .npy, .npz, .csv, .tsv, .parquet, .feather, "
    "or svmlight (.svm, .svmlight, .libsvm, .t or no suffix)"
)
_TARGET = "the labels (a number for .npy, none for svmlight)"


def command_line():
    """The parser of `logreg-accel`; of a parsed line, `module` and `verb` say what runs."""
    parser = argparse.ArgumentParser(
        prog="logreg-accel",
        description="Logistic regression on large feature matrices.",
        epilog=(
            "Exit codes: 0 done, 2 usage, 3 bad data, 4 not converged (with --strict), 5 input or output, "
            "130 Ctrl-C."
        ),
    )
    parser.add_argument("--version", action="version", version=_version())
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(name, module, text, quiet=False):
        sub = verbs.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        sub.set_defaults(module=module)
        sub.add_argument("--json", action="store_true", help="one JSON object on stdout")
        if quiet:
            sub.add_argument("--quiet", action="store_true", help="no progress and no summary")
        sub.add_argument("--debug", action="store_true", help="show the traceback of an error")
        return sub

    _add_train(verb)
    _add_models(verb)
    _add_measurements(verb)
    return parser


def _add_train(verb):
    train = verb("train", "train", "fit a model to a file and save it", quiet=True)
    train.add_argument("file", metavar="FILE", help=_DATA)
    train.add_argument("--target", metavar="COLUMN", help=_TARGET)
    train.add_argument("--model", required=True, metavar="OUT.npz", help="where the model goes")
    train.add_argument("--weight", metavar="COLUMN", help="sample weights")
    train.add_argument("--drop", metavar="COLUMN,...", default="", help="columns to leave out")
    train.add_argument(
        "--test-size", type=_share, default=0.0, metavar="SHARE", help="share of the rows held out (0 to 1)"
    )
    train.add_argument(
        "--C", type=_positive, default=1.0, help="inverse strength of the penalty; inf for none"
    )
    train.add_argument(
        "--l1-ratio", type=float, default=0.0, help="0 for the L2 penalty, 1 for L1, between them elastic net"
    )
    train.add_argument("--tol", type=float, default=1e-8, help="estimated relative suboptimality to stop at")
    train.add_argument("--no-intercept", action="store_true")
    train.add_argument("--class-weight", choices=["balanced"])
    train.add_argument(
        "--solver",
        default="auto",
        help=_Names("%solvers"),
    )
    train.add_argument("--backend", default="auto", help=_Names("%backends"))
    train.add_argument(
        "--dtype", choices=["float32", "float64"], help="convert the features (default: as stored)"
    )
    train.add_argument("--threads", type=_count, metavar="N", help="CPU threads at most")
    train.add_argument("--max-iter", type=_count, default=1000, metavar="N")
    train.add_argument("--max-passes", type=_positive, metavar="N", help="reads of the data at most")
    train.add_argument("--max-seconds", type=_positive, metavar="S")
    train.add_argument("--seed", type=_seed, default=0, metavar="N")
    train.add_argument(
        "--strict",
        action="store_true",
        help="exit with 4 when not converged (the model is saved all the same)",
    )


def _add_models(verb):
    """What is done with a model that was saved."""
    predict = verb("predict", "apply", "classify the rows of a file", quiet=True)
    predict.add_argument("file", metavar="FILE", help=_DATA)
    predict.add_argument("--model", required=True, metavar="MODEL.npz")
    predict.add_argument(
        "--output",
        metavar="OUT",
        help="where predictions and probabilities go, in the format of the suffix: .csv, .tsv, .parquet, "
        ".feather or .arrow (default: CSV to stdout); in text, labels that a spreadsheet would run, such as "
        "=1+1, have an apostrophe before them",
    )

    evaluate = verb("evaluate", "apply", "measure a model on labelled rows")
    evaluate.add_argument("file", metavar="FILE", help=_DATA)
    evaluate.add_argument("--model", required=True, metavar="MODEL.npz")
    evaluate.add_argument("--target", metavar="COLUMN", help=_TARGET)

    inspect = verb("inspect", "apply", "show what a model file holds")
    inspect.add_argument("model", metavar="MODEL.npz")
    inspect.add_argument(
        "--top", type=_count, default=20, metavar="N", help="coefficients to show, largest first"
    )


def _add_measurements(verb):
    """What tells of this machine."""
    verb("doctor", "doctor", "say what is usable on this machine, and why not the rest")

    bench = verb(
        "bench", "bench", "measure how close an evaluation comes to the speed of a plain read", quiet=True
    )
    bench.add_argument(
        "--features", type=_list_of(_count), default=[16, 64, 256, 1024, 4096], metavar="N,..."
    )
    bench.add_argument(
        "--dtypes",
        type=_list_of(_one_of("float32", "float64", "float16", "int8", "uint8")),
        default=["float32"],
        metavar="NAME,...",
        help="float32, float64, float16, int8, uint8",
    )
    bench.add_argument(
        "--layout",
        type=_list_of(_one_of("C", "F")),
        default=["C"],
        metavar="C,F",
        help="C: by rows, F: by columns",
    )
    bench.add_argument("--gigabytes", type=_positive, default=1.0, metavar="GB", help="size of the matrix")
    bench.add_argument("--repeats", type=_count, default=9, metavar="N")
    bench.add_argument("--output", metavar="OUT.svg", help="draw the roofline (needs matplotlib)")

    demo = verb(
        "demo",
        "demo",
        "train on real and generated data on every usable backend and write a report",
        quiet=True,
    )
    demo.add_argument("--output", default="logreg-accel-demo.html", metavar="OUT.html")
    demo.add_argument(
        "--rows", type=_count, default=1_000_000, metavar="N", help="rows of the generated matrix"
    )
    demo.add_argument("--features", type=_count, default=64, metavar="N")


class _Names(str):
    """Help that lists a table when it is shown, and not before: the table's modules take a while to load."""

    def __mod__(self, parameters):
        from ..backends import BACKENDS
        from ..solvers import SOLVERS

        names = ["auto", *(SOLVERS if self == "%solvers" else BACKENDS)]
        return f"{', '.join(names[:-1])} or {names[-1]}"


def _version():
    from .. import __version__

    return f"logreg-accel {__version__}"


def _number(text, holds, expected, kind=float):
    try:
        value = kind(text)
        if holds(value):
            return value
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is not {expected}")


def _positive(text):
    return _number(text, lambda v: v > 0, "a positive number")


def _share(text):
    return _number(text, lambda v: 0 <= v < 1, "a share from 0 to below 1")


def _count(text):
    return _number(text, lambda v: v >= 1, "a positive integer", int)


def _seed(text):
    return _number(text, lambda v: 0 <= v < 2**32, "an integer from 0 to 4294967295", int)


def _list_of(kind):
    return lambda text: [kind(part) for part in text.split(",")]


def _one_of(*names):
    return lambda text: _number(text, lambda name: name in names, f"one of {', '.join(names)}", str)
