"""The parser of the command line: every verb and its options."""

from . import values
from .suggestions import Parser
from .training import DATA, REPORT, SAME_TARGET, add_layout, add_train

_THRESHOLD = "probability from which the second class is predicted (default: that of the model, or 0.5)"
_MODEL = "model that train has saved"
EXAMPLES = {
    "train": "customers.csv --target churned --model churn.npz",
    "predict": "march.csv --model churn.npz --output out.csv",
    "evaluate": "march.csv --model churn.npz --target churned",
    "inspect": "churn.npz",
    "doctor": "--warm",
    "bench": "--features 64,1024 --gigabytes 0.5",
    "demo": "--rows 200000 --output demo.html",
    "examples": "newton softmax --output scripts",
}
"""The arguments of the example at the end of a verb's help."""


def command_line():
    """The parser of `logreg-accel`; `module` and `verb` of a parsed line name the function to run."""
    parser = Parser(
        prog="logreg-accel",
        description="Logistic regression on large feature matrices.",
        epilog=(
            "Exit codes: 0 done, 2 usage, 3 bad data, 4 not converged (with --strict), 5 input or output, "
            "130 Ctrl-C."
        ),
    )
    parser.add_argument("--version", action="version", version=_version())
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")

    def verb(name, module, text, quiet=False):
        example = f"Example: logreg-accel {name} {EXAMPLES[name]}"
        sub = verbs.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".", epilog=example)
        sub.set_defaults(module=module)
        sub.add_argument("--json", action="store_true", help="print one JSON object to stdout")
        if quiet:
            sub.add_argument("--quiet", action="store_true", help="print no progress and no summary")
        sub.add_argument("--debug", action="store_true", help="show the traceback of an error")
        return sub

    add_train(verb)
    _add_models(verb)
    _add_doctor(verb)
    _add_bench(verb)
    _add_demo(verb)
    _add_examples(verb)
    return parser


def _add_models(verb):
    """Verbs for saved models."""
    predict = verb("predict", "apply", "classify the rows of a file", quiet=True)
    predict.add_argument("file", metavar="FILE", nargs="+", help=DATA)
    predict.add_argument("--model", required=True, metavar="MODEL.npz", help=_MODEL)
    predict.add_argument(
        "--output",
        metavar="OUT",
        help="file for predictions and probabilities, in the format of its suffix: .csv, .tsv, .parquet, "
        ".feather, .arrow or .npy (default: CSV to stdout); in text, labels that a spreadsheet would run as "
        "formulas, such as =1+1, get an apostrophe in front",
    )

    add_layout(predict)
    predict.add_argument(
        "--keep",
        metavar="COLUMN,...",
        default="",
        help="columns of FILE to write beside the predictions (default: none); all means every column",
    )
    predict.add_argument(
        "--threshold",
        type=values.probability,
        metavar="P",
        help=_THRESHOLD,
    )

    evaluate = verb("evaluate", "apply", "measure a model on labelled rows")
    evaluate.add_argument("file", metavar="FILE", nargs="+", help=DATA)
    evaluate.add_argument("--model", required=True, metavar="MODEL.npz", help=_MODEL)
    evaluate.add_argument("--target", metavar="COLUMN", help=SAME_TARGET)
    add_layout(evaluate)
    evaluate.add_argument("--by", metavar="COLUMN", help="also measure the rows of each value of this column")
    evaluate.add_argument("--report", metavar="OUT.html", help=REPORT)
    evaluate.add_argument("--threshold", type=values.probability, metavar="P", help=_THRESHOLD)

    inspect = verb("inspect", "apply", "show the contents of a model file")
    model = inspect.add_mutually_exclusive_group(required=True)
    model.add_argument("file", nargs="?", metavar="MODEL.npz", help=_MODEL)
    model.add_argument("--model", metavar="MODEL.npz", help="the same, as the other verbs take it")
    inspect.add_argument(
        "--top",
        type=values.count,
        default=20,
        metavar="N",
        help="show the N largest coefficients (default: 20); --json has all of them",
    )


def _add_doctor(verb):
    """The verb about this machine."""
    doctor = verb(
        "doctor", "doctor", "show which backends are usable on this machine, and why the others are not"
    )
    doctor.add_argument(
        "--warm",
        action="store_true",
        help="compile Numba's loops now, and kernels if there is a GPU, which takes minutes; backend='auto' "
        "then uses numba from 2 MiB of X on (without --warm: from 32 MiB on)",
    )


def _add_bench(verb):
    """The verb that compares an evaluation with a plain read."""
    bench = verb(
        "bench", "bench", "measure how close an evaluation comes to the speed of a plain read", quiet=True
    )
    bench.add_argument(
        "--features",
        type=values.list_of(values.count),
        default=[16, 64, 256, 1024, 4096],
        metavar="N,...",
        help="numbers of features (default: 16,64,256,1024,4096)",
    )
    bench.add_argument(
        "--dtypes",
        type=values.list_of(values.one_of("float32", "float64", "float16", "int8", "uint8")),
        default=["float32"],
        metavar="NAME,...",
        help="how X is stored: some of float32, float64, float16, int8, uint8 (default: float32)",
    )
    bench.add_argument(
        "--layout",
        type=values.list_of(values.one_of("C", "F")),
        default=["C"],
        metavar="C,F",
        help="C: row-major, F: column-major, or both (default: C)",
    )
    bench.add_argument(
        "--gigabytes", type=values.positive, default=1.0, metavar="GB", help="size of the matrix (default: 1)"
    )
    bench.add_argument(
        "--repeats", type=values.count, default=9, metavar="N", help="how often each is measured (default: 9)"
    )
    bench.add_argument(
        "--output", metavar="OUT.svg", help="draw the roofline into this file (needs the extra [report])"
    )


def _add_demo(verb):
    """The verb that shows what the package does."""
    demo = verb(
        "demo",
        "demo",
        "train on real and generated data on every usable backend and write a report",
        quiet=True,
    )
    demo.add_argument(
        "--output",
        default="logreg-accel-demo.html",
        metavar="OUT.html",
        help="file for the report (default: logreg-accel-demo.html)",
    )
    demo.add_argument(
        "--rows",
        type=values.count,
        default=1_000_000,
        metavar="N",
        help="rows of the generated matrix (default: 1000000)",
    )
    demo.add_argument(
        "--features",
        type=values.count,
        default=64,
        metavar="N",
        help="columns of the generated matrix (default: 64)",
    )


def _add_examples(verb):
    """The verb for example scripts."""
    examples = verb("examples", "examples", "list small scripts that show one thing each, or write some out")
    examples.add_argument(
        "name", metavar="NAME", nargs="*", help="scripts to write out, or all; without a name they are listed"
    )
    examples.add_argument(
        "--output", default=".", metavar="FOLDER", help="folder to write them to (default: here)"
    )


def _version():
    from .. import __version__

    return f"logreg-accel {__version__}"
