"""The kernels that most tests launch, to be compiled for the CPU together."""

import numpy as np

from logreg_accel.data import compute_dtype
from logreg_accel.kernels import cuda
from logreg_accel.kernels.cuda import shapes

REAL = {"float32": "float", "float64": "double"}
REALS = tuple(REAL.values())


def foresee(kernels, widths):
    """Tell a stand-in's kernels what will be asked for, of X with so many columns among others."""
    dense = ("LossGradient", "HessianVector", "Diagonal", "Margins")
    for real in REAL:
        foreseen = {f"sum_slices<{REAL[real]}>"}
        for dtype in (name for name in shapes.STORAGE if compute_dtype(np.dtype(name)) == real):
            itemsize = np.dtype(dtype).itemsize
            for n in widths | {2, 4, 6, 10, 17, 20, 30} if dtype in REAL else {5, 17}:
                for columns in {n, shapes.padded(n, itemsize)}:
                    vector = shapes.widest_vector(itemsize, 0, columns, columns)
                    names = (*dense, "ProductAt") if dtype in REAL else dense
                    foreseen |= {shapes.dense(name, dtype, 100, columns, 1, vector).kernel for name in names}
        for n, k in ((6, 3), (12, 3)):  # several outputs
            columns = shapes.padded(n, np.dtype(real).itemsize)
            foreseen |= {shapes.dense(name, real, 100, columns, k).kernel for name in dense}
        kernels.foresee(cuda.source("dense.cu"), foreseen)
    names = (*dense, "transposed", "weighted_gram", "reaches")
    entries = {(dtype, row, k) for dtype in REAL for row in (1, 20, 200) for k in (1, 3)[: 1 + (row == 1)]}
    entries |= {(dtype, 1, 1) for dtype in ("int8", "uint8")}
    kernels.foresee(
        cuda.source("sparse.cu"),
        {shapes.sparse(name, dtype, 100, 100 * row, k)[0] for name in names for dtype, row, k in entries}
        | {shapes.sparse("Margins", "float64", 100, 100, k)[0] for k in (8, 16)},
    )
    of_margins = {
        f"logistic_{name}<{real}>" for name in ("residual", "line", "probabilities") for real in REALS
    }
    of_margins |= {
        f"{name}>" for real in REALS for name in (f"nonfinite<{real}", f"likeliest<{real}, unsigned char")
    }
    kernels.foresee(cuda.source("pointwise.cu"), of_margins)
    draws = ("mass_total", "mass_passing", "mass_taken")
    sweeps = (*draws, "logistic_curvatures", "logistic_change", "logistic_above")
    kernels.foresee(cuda.source("sweeps.cu"), [f"{name}<{real}>" for name in sweeps for real in REALS])
    words = ("unsigned char", "unsigned short", "unsigned", "unsigned long long")
    arrays = {f"copied<{word}, {word}>" for word in words} | {f"picked<{word}>" for word in words}
    arrays |= {f"copied<{stored}, double>" for stored, _ in shapes.STORAGE.values() if stored != "double"}
    pairs = [f"{one}, {other}" for one in REALS for other in REALS]
    arrays |= {f"{name}<{pair}>" for name in ("of_classes", "product") for pair in pairs}
    arrays |= {
        f"{name}<{real}>"
        for name in ("add_matrix", "add_row", "add", "times", "column_sums", "column_reach")
        for real in REALS
    }
    arrays |= {"copied<double, float>", "total", "squared<float, float>", "squared<double, double>"}
    kernels.foresee(cuda.source("arrays.cu"), arrays)
    entries = {f"{name}<{real}>" for name in ("taken_entries", "moved") for real in REALS}
    entries |= {"row_lengths", "shifted", "unfixed", "unfixed_gram"}
    kernels.foresee(cuda.source("entries.cu"), entries)
    squares = {
        f"{name}_squares<{stored}, {real}>"
        for stored, real in shapes.STORAGE.values()
        for name in ("row", "column")
    }
    kernels.foresee(cuda.source("squares.cu"), squares | {"inverse_means<float>", "inverse_means<double>"})
    looks = {f"class_totals<{real}>" for real in REALS} | {f"scaled_weights<{real}>" for real in REALS}
    looks |= {
        f"label_{name}<{label}>"
        for name in ("range", "codes", "presence")
        for label, _ in shapes.STORAGE.values()
        if "Half" not in label and "16" not in label
    }
    kernels.foresee(cuda.source("labels.cu"), looks | {"weights_look", "positive_count", "positive_rows"})
    several = (
        "residual",
        "curvatures",
        "mass",
        "product",
        "line",
        "above",
        "change",
        "probabilities",
        "roots",
    )
    kernels.foresee(
        cuda.source("classes.cu"),
        [f"softmax_{name}<{real}>" for name in several for real in REALS],
    )
    made = [
        f"made_rows<{stored}, {real}, {roots}>"
        for stored, own in set(shapes.STORAGE.values())
        for real in {own, "double"}
        for roots in ("true", "false")
    ]
    kernels.foresee(cuda.source("made.cu"), made)
    kernels.foresee(cuda.source("systems.cu"), ["mean_matrix", "against_shifts", "unit_diagonal"])
