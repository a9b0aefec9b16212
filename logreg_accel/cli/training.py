"""The options of `train`, and those that other verbs share with it."""

from . import values

DATA = (
    "a table as text (CSV and the like, compressed or not), Parquet or Feather; several files, a pattern "
    "or a folder are read as one table; or .npy, .npz or svmlight files"
)
REPORT = "write a page in one HTML file: measures, curves, coefficients, the fit (needs the extra [report])"
_TOL = "stop where the relative distance to the optimum, (F - F*)/F, is at most this (default: 1e-8)"
_MAX_ITER = "take at most N steps of the solver (default: 1000)"
_SEED = "seed of the split, the folds and the samples of rows (default: 0)"
TARGET = "column of the labels (its number for .npy; not needed for svmlight)"
SAME_TARGET = "column of the labels (default: that of the training data)"


def add_train(verb):
    """Add the verb train and its options, in groups: there are too many to read in one list."""
    train = verb("train", "train", "fit a model to a file and save it", quiet=True)
    train.usage = "%(prog)s [options] --target COLUMN --model OUT.npz FILE ..."
    train.add_argument("file", metavar="FILE", nargs="+", help=DATA)
    train.add_argument("--target", metavar="COLUMN", help=TARGET)
    train.add_argument("--model", required=True, metavar="OUT.npz", help="file to save the model in")
    _add_table(train.add_argument_group("the table"))
    _add_held_out(train.add_argument_group("held-out rows, and what is measured on them"))
    _add_penalty(train.add_argument_group("the penalty"))
    _add_fit(train.add_argument_group("the fit"))
    _add_large(train.add_argument_group("data larger than memory, and fits that can be resumed"))
    _add_errors(train.add_argument_group("standard errors"))


def _add_table(group):
    group.add_argument("--weight", metavar="COLUMN", help="column of sample weights")
    group.add_argument(
        "--drop", metavar="COLUMN,...", default="", help="columns to leave out; '\"a, b\",c' are two columns"
    )
    add_layout(group)
    group.add_argument(
        "--encode",
        choices=["auto", "none"],
        default="auto",
        help="what to do with text, categories and missing values: auto encodes them as numbers and reports "
        "how; none accepts only columns of numbers (default: auto)",
    )
    group.add_argument(
        "--categorical", metavar="COLUMN,...", help="columns of numbers to treat as categories"
    )
    group.add_argument(
        "--numeric", metavar="COLUMN,...", help="columns to treat as numbers, whatever they look like"
    )
    group.add_argument(
        "--min-count",
        type=values.count,
        metavar="N",
        help="pool the levels of a column that fewer than N rows have (default: a hundredth of the rows, at "
        "most 5)",
    )
    group.add_argument("--scale", action="store_true", help="divide numbers by their standard deviation")


def _add_held_out(group):
    group.add_argument(
        "--test-size",
        type=values.share,
        default=0.0,
        metavar="SHARE",
        help="share of the rows to hold out for a test, below 1 (default: 0)",
    )
    group.add_argument(
        "--valid", metavar="FILE", nargs="+", help="measure the model on the rows of these files"
    )
    group.add_argument(
        "--threshold",
        type=values.threshold_or_rule,
        metavar="P",
        help="probability from which the second class is predicted, kept in the model (default: 0.5): a "
        "number; or f1 or youden, which choose the best one on the rows held out or else on all rows",
    )
    group.add_argument("--report", metavar="OUT.html", help=REPORT)


def _add_penalty(group):
    group.add_argument(
        "--C",
        type=values.strengths,
        metavar="C|C,...|auto",
        help="inverse of the regularization strength (default: 1, with --cv auto); inf for no penalty; with "
        "--cv several values to choose from, or auto for 10 values from 1e-4 to 1e4",
    )
    group.add_argument(
        "--cv", type=values.count, metavar="N", help="choose C by N-fold cross-validation: the least log loss"
    )
    group.add_argument(
        "--one-se",
        action="store_true",
        help="with --cv, take the strongest penalty within one standard error of the least log loss",
    )
    group.add_argument(
        "--l1-ratio",
        type=float,
        default=0.0,
        metavar="R",
        help="0 for the L2 penalty, 1 for L1, a number between them for the elastic net (default: 0)",
    )


def _add_fit(group):
    group.add_argument("--no-intercept", action="store_true", help="fit no intercept")
    group.add_argument(
        "--class-weight",
        type=values.class_weight,
        metavar="balanced|LABEL=W,...",
        help="weights of the classes (default: 1 for each); balanced: in inverse proportion to their sizes",
    )
    group.add_argument(
        "--solver",
        default="auto",
        help=_Names("%solvers"),
    )
    group.add_argument("--backend", default="auto", help=_Names("%backends"))
    group.add_argument(
        "--dtype", choices=["float32", "float64"], help="convert the features (default: as stored)"
    )
    group.add_argument(
        "--threads", type=values.count, metavar="N", help="use at most N CPU threads (default: all)"
    )
    group.add_argument("--seed", type=values.seed, default=0, metavar="N", help=_SEED)
    group.add_argument("--tol", type=float, default=1e-8, help=_TOL)
    group.add_argument("--max-iter", type=values.count, default=1000, metavar="N", help=_MAX_ITER)
    group.add_argument(
        "--max-passes",
        type=values.positive,
        metavar="N",
        help="read the data at most N times (default: no limit)",
    )
    group.add_argument(
        "--max-seconds", type=values.positive, metavar="S", help="stop after S seconds (default: no limit)"
    )
    group.add_argument(
        "--strict",
        action="store_true",
        help="exit with code 4 if the fit has not converged (the model is saved all the same)",
    )


def _add_large(group):
    group.add_argument(
        "--memory",
        type=values.memory,
        metavar="SIZE",
        help="for files that do not fit into memory: read them in blocks within SIZE, such as 4GB",
    )
    group.add_argument(
        "--cache", metavar="DIR", help="with --memory, keep the blocks in DIR for the next run"
    )
    group.add_argument("--checkpoint", metavar="FILE", help="keep the state of the fit in FILE, for --resume")
    group.add_argument(
        "--resume", action="store_true", help="continue from the file of --checkpoint, if it exists"
    )


def _add_errors(group):
    group.add_argument(
        "--inference",
        choices=["iid", "HC0", "HC1"],
        help="keep standard errors, p-values and intervals with the model, for inspect (needs --C inf); the "
        "levels of a column are then compared with its first one",
    )
    group.add_argument(
        "--base",
        type=values.levels,
        metavar="COLUMN=LEVEL,...",
        help="with --inference or --firth, the level with which the others of a column are compared "
        "(default: the first in the order of the alphabet)",
    )
    group.add_argument(
        "--firth",
        action="store_true",
        help="fit with Firth's penalty, for rare events and separated classes, and keep tests and intervals "
        "of profile likelihoods, for inspect",
    )


def add_layout(sub):
    """Options for reading text tables."""
    sub.add_argument(
        "--sep", type=values.separator, metavar="CHARACTER", help="field separator (default: detected)"
    )
    sub.add_argument(
        "--no-header",
        action="store_true",
        help="the first line is data: columns are 0, 1, ..., and -1 is the last",
    )
    sub.add_argument(
        "--na", metavar="TEXT,...", help="texts that mean a missing value, besides NA, ? and the like"
    )
    sub.add_argument(
        "--encoding",
        type=values.encoding,
        default="utf-8",
        metavar="NAME",
        help="encoding of the text, such as latin-1 (default: utf-8)",
    )


class _Names(str):
    """Help text that lists a table only when it is shown, since its modules take a while to load."""

    def __mod__(self, parameters):
        from ..backends import BACKENDS
        from ..solvers import SOLVERS

        names = ["auto", *(SOLVERS if self == "%solvers" else BACKENDS)]
        return f"{', '.join(names[:-1])} or {names[-1]} (default: auto)"
