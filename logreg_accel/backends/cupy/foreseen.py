"""The kernels that a fit will need, to be compiled by threads while X is uploaded.

A fit requests them one by one, and compiling each takes a noticeable part of a second. The tables list the
kernels of the solvers that "auto" chooses. Any other kernel is compiled when it is requested; a listed kernel
that is not needed only costs a thread some time.
"""

import functools

from ...data import compute_dtype
from ...kernels.cuda import shapes, tiles
from .compiler import REAL, begin

_WORDS = {1: "unsigned char", 2: "unsigned short", 4: "unsigned", 8: "unsigned long long"}

# {stored} and {real} are the types of X and of the arithmetic, {entry} and {word} unsigned types as large.
_ANY = {
    "arrays.cu": (
        "of_classes<float, float>",
        "picked<unsigned char>",
        "picked<{word}>",
        "copied<{entry}, {entry}>",
        "product<{real}, {real}>",
        "add_matrix<double>",
    ),
    "squares.cu": ("inverse_means<{real}>",),
    "sweeps.cu": tuple(
        f"mass_{name}<{real}>" for name in ("total", "passing", "taken") for real in REAL.values()
    ),
}
_TWO_CLASSES = {
    "sweeps.cu": ("logistic_curvatures<{real}>", "logistic_change<double>"),
}
_SEVERAL_CLASSES = {
    "arrays.cu": ("total", "column_sums<double>"),
    "classes.cu": (
        "softmax_line<{real}>",
        "softmax_mass<{real}>",
        "softmax_roots<{real}>",
        "softmax_residual<double>",
        "softmax_roots<double>",
        "softmax_change<double>",
    ),
}
_DENSE = {
    "arrays.cu": ("add_matrix<{real}>",),
    "dense.cu": ("sum_slices<{real}>", "sum_slices<double>"),
    "made.cu": ("made_rows<{stored}, {real}, true>", "made_rows<{stored}, double, true>"),
    "squares.cu": ("column_squares<{stored}, {real}>", "row_squares<{stored}, {real}>"),
}
_IN_FLOAT32 = {  # for an X in float32, whose samples are computed in float64
    "arrays.cu": ("copied<float, double>", "copied<unsigned, unsigned>"),
}
_DENSE_IN_FLOAT32 = {
    "arrays.cu": ("copied<{stored}, double>",),
    "made.cu": ("made_rows<{stored}, double, false>",),
}
_DENSE_SEVERAL_CLASSES = {
    "arrays.cu": ("add_row<{real}>", "add_row<double>"),
}
_SPARSE = {
    "arrays.cu": (
        "column_reach<{real}>",
        "column_reach<double>",
        "column_sums<{real}>",
        "column_sums<double>",
        "squared<{stored}, {real}>",
        "total",
    ),
    "entries.cu": (
        "row_lengths",
        "taken_entries<{stored}>",
        "unfixed",
        "unfixed_gram",
        "moved<{stored}>",
    ),
}
_SPARSE_TWO_CLASSES = {
    "pointwise.cu": ("logistic_residual<double>",),
    "sweeps.cu": ("logistic_curvatures<double>",),
}
_SPARSE_SEVERAL_CLASSES = {
    "arrays.cu": ("times<{real}>", "times<double>", "copied<unsigned long long, unsigned long long>"),
    "classes.cu": ("softmax_residual<{real}>", "softmax_curvatures<{real}>", "softmax_product<{real}>"),
}


def compile_for(dtype, shape, outputs, row_entries=None):
    """Begin to compile the kernels of a fit.

    Parameters
    ----------
    dtype, shape : those of X
    outputs : number of margins of a row
    row_entries : number of stored entries of a row; None for a dense X
    """
    m, n = shape
    if m and dtype.name in shapes.STORAGE:
        begin(of_fit(dtype, min(m, 1 << 20), n, outputs, row_entries))


@functools.cache
def of_fit(dtype, m, n, outputs, row_entries=None):
    """The kernels, pairs of file and expression, of `compile_for`'s parameters."""
    stored, real = shapes.STORAGE[dtype.name]
    several, in_float32 = outputs > 1, real == "float"
    tables = [_ANY, _SEVERAL_CLASSES if several else _TWO_CLASSES]
    if in_float32:
        tables.append(_IN_FLOAT32)
    if row_entries is None:
        tables += [_DENSE, _DENSE_IN_FLOAT32] if in_float32 else [_DENSE]
        tables += [_DENSE_SEVERAL_CLASSES] if several else []
        passes = _dense_passes(dtype, m, n, outputs)
    else:
        tables += [_SPARSE, _SPARSE_SEVERAL_CLASSES if several else _SPARSE_TWO_CLASSES]
        passes = _sparse_passes(dtype, m, row_entries, outputs)
    words = {"entry": _WORDS[dtype.itemsize], "word": _WORDS[compute_dtype(dtype).itemsize]}
    named = {
        (file, expression.format(stored=stored, real=real, **words))
        for table in tables
        for file, expressions in table.items()
        for expression in expressions
    }
    return named | passes


def _dense_passes(dtype, m, n, outputs):
    stored, double = dtype.name, "float64"
    if outputs == 1:
        launches = (
            shapes.dense("LossGradient", kept, m, shapes.padded(n, itemsize))
            for kept, itemsize in ((stored, dtype.itemsize), (double, 8))
        )
        return {("dense.cu", launch.kernel) for launch in launches if launch}
    if REAL[compute_dtype(dtype).name] == "double" or outputs > tiles.widest("LossGradient", stored, n):
        return set()
    columns, vector = shapes.padded(n, dtype.itemsize), 16 // dtype.itemsize
    launches = (
        tiles.outputs(name, stored, m, columns, outputs, vector, outputs)
        for name in ("LossGradient", "Diagonal", "ProductsAt")
    )
    return {("outputs.cu", launch.kernel) for launch in launches if launch}


def _sparse_passes(dtype, m, row_entries, outputs):
    stored, double = dtype.name, "float64"
    wanted = {(name, kept, 1) for name in ("reaches", "weighted_gram") for kept in (stored, double)}
    wanted |= {(name, stored, 1) for name in ("Margins", "transposed")}
    wanted |= {(name, kept, outputs) for name in ("Margins", "transposed") for kept in (stored, double)}
    if outputs == 1:
        wanted |= {(name, stored, 1) for name in ("LossGradient", "Diagonal", "HessianVector")}
    else:
        wanted.add(("transposed", double, 1))
    launches = (shapes.sparse(name, kept, m, row_entries * m, k) for name, kept, k in wanted)
    return {("sparse.cu", launch[0]) for launch in launches if launch}
