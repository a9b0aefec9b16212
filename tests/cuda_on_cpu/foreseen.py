"""The kernels that most tests launch, to be compiled for the CPU together."""

import numpy as np

from logreg_accel.data import compute_dtype
from logreg_accel.kernels import cuda
from logreg_accel.kernels.cuda import shapes, tiles

REAL = {"float32": "float", "float64": "double"}
REALS = tuple(REAL.values())


def foresee(kernels, widths):
    """Tell a stand-in's kernels what will be asked for, of X with so many columns among others."""
    for real in REAL:
        kernels.foresee(cuda.source("dense.cu"), _dense(real, widths))
    for source, names in {
        "sparse.cu": _sparse(),
        "pointwise.cu": _pointwise(),
        "sweeps.cu": _sweeps(),
        "arrays.cu": _arrays(),
        "entries.cu": _entries(),
        "squares.cu": _squares(),
        "labels.cu": _labels(),
        "classes.cu": _classes(),
        "made.cu": _made(),
        "systems.cu": ["mean_matrix", "against_shifts", "unit_diagonal"],
        "outputs.cu": _outputs(),
        "columns.cu": _columns(),
    }.items():
        kernels.foresee(cuda.source(source), names)


def _dense(real, widths):
    foreseen, passes = {f"sum_slices<{REAL[real]}>"}, ("LossGradient", "HessianVector", "Diagonal", "Margins")
    for dtype in (name for name in shapes.STORAGE if compute_dtype(np.dtype(name)) == real):
        itemsize = np.dtype(dtype).itemsize
        names = (*passes, "ProductAt") if dtype in REAL else passes
        for n in widths | {2, 4, 6, 10, 17, 20, 30} if dtype in REAL else {5, 17}:
            narrow = real == "float64" and n <= 20  # rows that are always padded
            for columns in {shapes.padded(n, itemsize)} | (set() if narrow else {n}):
                vector = shapes.widest_vector(itemsize, 0, columns, columns)
                foreseen |= {shapes.dense(name, dtype, 100, columns, 1, vector).kernel for name in names}
    for n, k in ((6, 3), (12, 3)):  # several outputs
        columns = shapes.padded(n, np.dtype(real).itemsize)
        foreseen |= {shapes.dense(name, real, 100, columns, k).kernel for name in passes}
    more = [("LossGradient", real, 200, 1, None)]
    if real == "float32":
        more += [(name, real, 500, 1, None) for name in ("LossGradient", "ProductAt", "Diagonal")]
        more += [("Margins", real, *sizes) for sizes in ((3, 3, 1), (10, 4, 2), (5, 12, 4))]
    else:
        more += [("Margins", real, *sizes) for sizes in ((3, 3, 2), (3, 4, 2))]
        more += [(name, dtype, 17, 1, 1) for name in passes[::2] for dtype in ("int16", "int64")]
    return foreseen | {shapes.dense(name, dtype, 100, *sizes).kernel for name, dtype, *sizes in more}


def _sparse():
    names = ("LossGradient", "HessianVector", "Diagonal", "Margins", "transposed", "weighted_gram", "reaches")
    entries = {(dtype, row, k) for dtype in REAL for row in (1, 20, 200) for k in (1, 3)[: 1 + (row == 1)]}
    entries |= {(dtype, 1, 1) for dtype in ("int8", "uint8")}
    foreseen = {
        shapes.sparse(name, dtype, 100, 100 * row, k)[0] for name in names for dtype, row, k in entries
    }
    few = {("transposed", dtype, k) for dtype in REAL for k in (4, 5)}
    few |= {("Margins", dtype, k) for dtype in REAL for k in (4, 5)}
    few |= {("Margins", "float64", k) for k in (8, 16)}
    return foreseen | {shapes.sparse(name, dtype, 100, 100, k)[0] for name, dtype, k in few}


def _pointwise():
    logistic = {
        f"logistic_{name}<{real}>" for name in ("residual", "line", "probabilities") for real in REALS
    }
    looks = {
        f"{name}>"
        for real in REALS
        for name in (
            f"nonfinite<{real}",
            f"likeliest<{real}, unsigned char",
            f"likeliest<{real}, unsigned short",
        )
    }
    return logistic | looks


def _sweeps():
    draws = ("mass_total", "mass_passing", "mass_taken")
    sweeps = (*draws, "logistic_curvatures", "logistic_change", "logistic_above")
    return [f"{name}<{real}>" for name in sweeps for real in REALS]


def _arrays():
    words = ("unsigned char", "unsigned short", "unsigned", "unsigned long long")
    arrays = {f"copied<{word}, {word}>" for word in words} | {f"picked<{word}>" for word in words}
    arrays |= {f"copied<{stored}, double>" for stored, _ in shapes.STORAGE.values() if stored != "double"}
    pairs = [f"{one}, {other}" for one in REALS for other in REALS]
    arrays |= {f"{name}<{pair}>" for name in ("of_classes", "product") for pair in pairs}
    plain = ("add_matrix", "add_row", "add", "times", "column_sums", "column_reach")
    arrays |= {f"{name}<{real}>" for name in plain for real in REALS}
    return arrays | {"copied<double, float>", "total", "squared<float, float>", "squared<double, double>"}


def _entries():
    entries = {f"{name}<{real}>" for name in ("taken_entries", "moved") for real in REALS}
    entries |= {"moved<signed char>", "moved<unsigned char>"}
    return entries | {"row_lengths", "shifted", "unfixed", "unfixed_gram"}


def _squares():
    stored = [f"_squares<{stored}, {real}>" for stored, real in shapes.STORAGE.values()]
    squares = {name + kind for name in ("row", "column") for kind in stored}
    return squares | {"inverse_means<float>", "inverse_means<double>", "group_sums<double>"}


def _labels():
    looks = {f"{name}<{real}>" for name in ("class_totals", "scaled_weights", "model_rows") for real in REALS}
    values = ("double", "float", "long long", "signed char", "unsigned char", "unsigned long long")
    looks |= {f"label_lookup<{label}, unsigned char>" for label in values}
    looks |= {"label_lookup<unsigned short, unsigned short>"}
    labels = [label for label, _ in shapes.STORAGE.values() if "Half" not in label and "16" not in label]
    looks |= {f"label_{name}<{label}>" for name in ("range", "codes", "presence") for label in labels}
    return looks | {"weights_look", "positive_count", "positive_rows"}


def _classes():
    sweeps = "residual curvatures mass product line above change probabilities roots".split()
    return [f"softmax_{name}<{real}>" for name in sweeps for real in REALS]


def _made():
    return [
        f"made_rows<{stored}, {real}, {roots}>"
        for stored, own in set(shapes.STORAGE.values())
        for real in {own, "double"}
        for roots in ("true", "false")
    ]


def _outputs():
    passes = ("LossGradient", "ProductsAt", "Diagonal")
    of_classes = (  # of X with so many columns, so many of them in one copy
        ("float32", 6, 4, ("LossGradient", "HessianVector", "Diagonal")),
        ("float32", 10, 2, passes),
        ("float32", 12, 4, passes),
        ("float32", 20, 4, ("LossGradient",)),
        ("float32", 5, 1, ("LossGradient", "ProductsAt")),
        ("float16", 6, 8, ("LossGradient",)),
        ("float16", 20, 8, ("LossGradient",)),
        ("uint8", 12, 16, ("LossGradient",)),
    )
    foreseen = {
        tiles.outputs(name, dtype, 100, n, 3, vector, 3).kernel
        for dtype, n, vector, names in of_classes
        for name in names
    }
    models = ("LossGradient", "Diagonal")
    return foreseen | {
        tiles.outputs(name, "float32", 100, 12, 2, 4, side_by_side=True).kernel for name in models
    }


def _columns():
    names = ("LossGradient", "HessianVector", "Diagonal", "Margins")
    whole = [("float32", n) for n in (2, 5, 31, 100)] + [("float16", 70), ("uint8", 33)]
    whole += [("float64", n) for n in (6, 40)]
    foreseen = {shapes.columns(name, dtype, 100, n).kernel for name in names for dtype, n in whole}
    return foreseen | {shapes.columns("LossGradient", "float32", 100, 3).kernel}
