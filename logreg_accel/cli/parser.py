"""The command line's words: every verb and its options."""

from . import values
from .suggestions import Parser

_DATA = (
    "tables as text (CSV and its relatives, also packed), Parquet or Feather: several files, a pattern or a "
    "folder of one table; or .npy, .npz, svmlight"
)
_REPORT = "a page in one file: measures, curves, coefficients, how the fit went (needs matplotlib)"
_TOL = "relative distance to the optimum, (F - F*)/F, to stop at (default: 1e-8)"
_MAX_ITER = "steps of the solver at most (default: 1000)"
_SEED = "of the split, the folds and the samples of rows (default: 0)"
_TARGET = "the labels (a number for .npy, none for svmlight)"


def command_line():
    """The parser of `logreg-accel`; of a parsed line, `module` and `verb` say what runs."""
    parser = Parser(
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
    _add_examples(verb)
    return parser


def _add_train(verb):
    train = verb("train", "train", "fit a model to a file and save it", quiet=True)
    train.add_argument("file", metavar="FILE", nargs="+", help=_DATA)
    train.add_argument("--target", metavar="COLUMN", help=_TARGET)
    train.add_argument("--model", required=True, metavar="OUT.npz", help="where the model goes")
    train.add_argument("--weight", metavar="COLUMN", help="sample weights")
    train.add_argument("--drop", metavar="COLUMN,...", default="", help="columns to leave out")
    _add_layout(train)
    train.add_argument(
        "--encode",
        choices=["auto", "none"],
        default="auto",
        help="what to do with text, categories, missing values: auto makes columns of numbers, "
        "and says which",
    )
    train.add_argument("--categorical", metavar="COLUMN,...", help="columns that are levels, though numbers")
    train.add_argument(
        "--numeric", metavar="COLUMN,...", help="columns that are numbers, whatever they look like"
    )
    train.add_argument(
        "--min-count",
        type=values.count,
        metavar="N",
        help="rows that a level must have; rarer ones are pooled",
    )
    train.add_argument("--scale", action="store_true", help="divide numbers by their standard deviation")
    train.add_argument("--valid", metavar="FILE", nargs="+", help="validation rows, in files of their own")
    train.add_argument(
        "--threshold",
        type=values.threshold_or_rule,
        metavar="P",
        help="probability from which the second class is predicted, kept in the model: a number, "
        "or f1 or youden, "
        "which are chosen on the rows held out, if there are any",
    )
    train.add_argument(
        "--test-size",
        type=values.share,
        default=0.0,
        metavar="SHARE",
        help="share of the rows held out for a test (0 to 1)",
    )
    train.add_argument(
        "--C",
        type=values.strengths,
        metavar="C|C,...|auto",
        help="inverse of the regularization strength (default: 1), inf for no penalty; with --cv several to "
        "choose from, "
        "or auto (10 from 1e-4 to 1e4)",
    )
    train.add_argument("--cv", type=values.count, metavar="N", help="choose C by N folds: the least log loss")
    train.add_argument(
        "--one-se",
        action="store_true",
        help="with --cv: the strongest penalty within a standard error of the least log loss",
    )
    train.add_argument(
        "--l1-ratio", type=float, default=0.0, help="0 for the L2 penalty, 1 for L1, between them elastic net"
    )
    train.add_argument("--tol", type=float, default=1e-8, help=_TOL)
    train.add_argument("--no-intercept", action="store_true", help="fit no intercept")
    train.add_argument(
        "--class-weight",
        type=values.class_weight,
        metavar="balanced|LABEL=W,...",
        help="weights of the classes",
    )
    train.add_argument(
        "--solver",
        default="auto",
        help=_Names("%solvers"),
    )
    train.add_argument("--backend", default="auto", help=_Names("%backends"))
    train.add_argument(
        "--dtype", choices=["float32", "float64"], help="convert the features (default: as stored)"
    )
    train.add_argument("--threads", type=values.count, metavar="N", help="CPU threads at most")
    train.add_argument("--max-iter", type=values.count, default=1000, metavar="N", help=_MAX_ITER)
    train.add_argument("--max-passes", type=values.positive, metavar="N", help="reads of the data at most")
    train.add_argument("--max-seconds", type=values.positive, metavar="S", help="wall time at most")
    train.add_argument("--seed", type=values.seed, default=0, metavar="N", help=_SEED)
    train.add_argument(
        "--memory", metavar="SIZE", help="such as 4GB: read in blocks, for files that do not fit into memory"
    )
    train.add_argument("--cache", metavar="DIR", help="where the blocks stay for the next run")
    train.add_argument("--checkpoint", metavar="FILE", help="where the state of the fit is kept for --resume")
    train.add_argument("--resume", action="store_true", help="resume from --checkpoint, if it exists")
    train.add_argument(
        "--inference",
        choices=["iid", "HC0", "HC1"],
        help="keep standard errors, p-values and intervals with the model, for inspect (needs --C inf); the "
        "first level of each column of levels is what the others are compared with",
    )
    train.add_argument(
        "--firth",
        action="store_true",
        help="with Firth's penalty, for rare events and separated classes; keeps tests and intervals of "
        "profiled likelihoods, for inspect",
    )
    train.add_argument("--report", metavar="OUT.html", help=_REPORT)
    train.add_argument(
        "--strict",
        action="store_true",
        help="exit with 4 when not converged (the model is saved all the same)",
    )


def _add_layout(sub):
    """How the text of a table reads."""
    sub.add_argument(
        "--sep", type=values.separator, metavar="CHARACTER", help="between fields (default: detected)"
    )
    sub.add_argument("--no-header", action="store_true", help="columns are called 0, 1, ..., -1 is the last")
    sub.add_argument(
        "--na", metavar="TEXT,...", help="what stands for a missing value, besides NA, ? and such"
    )
    sub.add_argument(
        "--encoding", type=values.encoding, default="utf-8", metavar="NAME", help="such as latin-1"
    )


def _add_models(verb):
    """What is done with a model that was saved."""
    predict = verb("predict", "apply", "classify the rows of a file", quiet=True)
    predict.add_argument("file", metavar="FILE", nargs="+", help=_DATA)
    predict.add_argument("--model", required=True, metavar="MODEL.npz")
    predict.add_argument(
        "--output",
        metavar="OUT",
        help="where predictions and probabilities go, in the format of the suffix: .csv, .tsv, .parquet, "
        ".feather, .arrow or .npy (default: CSV to stdout); in text, labels that a spreadsheet "
        "would run, such as "
        "=1+1, have an apostrophe before them",
    )

    _add_layout(predict)
    predict.add_argument(
        "--keep", metavar="COLUMN,...", default="", help="columns to write beside the predictions, or all"
    )
    predict.add_argument(
        "--threshold",
        type=values.probability,
        metavar="P",
        help="probability from which the second class is predicted (default: that of the model)",
    )

    evaluate = verb("evaluate", "apply", "measure a model on labelled rows")
    evaluate.add_argument("file", metavar="FILE", nargs="+", help=_DATA)
    evaluate.add_argument("--model", required=True, metavar="MODEL.npz")
    evaluate.add_argument("--target", metavar="COLUMN", help=_TARGET)
    _add_layout(evaluate)
    evaluate.add_argument("--by", metavar="COLUMN", help="measure the rows of each value of a column, too")
    evaluate.add_argument("--report", metavar="OUT.html", help=_REPORT)
    evaluate.add_argument("--threshold", type=values.probability, metavar="P", help="as for predict")

    inspect = verb("inspect", "apply", "show what a model file holds")
    inspect.add_argument("model", metavar="MODEL.npz")
    inspect.add_argument(
        "--top", type=values.count, default=20, metavar="N", help="coefficients to show, largest first"
    )


def _add_measurements(verb):
    """What tells of this machine."""
    doctor = verb("doctor", "doctor", "say what is usable on this machine, and why not the rest")
    doctor.add_argument(
        "--warm",
        action="store_true",
        help="compile Numba's loops now (about two minutes), and have backend='auto' take them from 2 MiB on",
    )

    bench = verb(
        "bench", "bench", "measure how close an evaluation comes to the speed of a plain read", quiet=True
    )
    bench.add_argument(
        "--features", type=values.list_of(values.count), default=[16, 64, 256, 1024, 4096], metavar="N,..."
    )
    bench.add_argument(
        "--dtypes",
        type=values.list_of(values.one_of("float32", "float64", "float16", "int8", "uint8")),
        default=["float32"],
        metavar="NAME,...",
        help="float32, float64, float16, int8, uint8",
    )
    bench.add_argument(
        "--layout",
        type=values.list_of(values.one_of("C", "F")),
        default=["C"],
        metavar="C,F",
        help="C: by rows, F: by columns",
    )
    bench.add_argument(
        "--gigabytes", type=values.positive, default=1.0, metavar="GB", help="size of the matrix"
    )
    bench.add_argument("--repeats", type=values.count, default=9, metavar="N")
    bench.add_argument("--output", metavar="OUT.svg", help="draw the roofline (needs matplotlib)")

    demo = verb(
        "demo",
        "demo",
        "train on real and generated data on every usable backend and write a report",
        quiet=True,
    )
    demo.add_argument("--output", default="logreg-accel-demo.html", metavar="OUT.html")
    demo.add_argument(
        "--rows", type=values.count, default=1_000_000, metavar="N", help="rows of the generated matrix"
    )
    demo.add_argument("--features", type=values.count, default=64, metavar="N")


def _add_examples(verb):
    """Scripts to read and to change."""
    examples = verb("examples", "examples", "list small scripts that show one thing each, or write some out")
    examples.add_argument("name", metavar="NAME", nargs="*", help="of a script, or all; none lists them")
    examples.add_argument("--output", default=".", metavar="FOLDER", help="where they go (default: here)")


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
