"""Checks of labels and weights in GPU memory, by the kernels of kernels/cuda/labels.cu.

Each function returns None if it has no kernel for its arguments.
"""

from typing import NamedTuple

import cupy
import numpy as np

from ...kernels.cuda import shapes
from ..moments import ClassTotals
from . import arrays
from .compiler import REAL, kernel
from .sweeps import block_count

_LABELS = {name: label for name, (label, _) in shapes.STORAGE.items() if "16" not in name or "int" in name}
_CODES = {1: "unsigned char", 2: "unsigned short"}
_MOST_RANGE = 4096  # largest range of the labels of more than two classes


class Weights(NamedTuple):
    """The result of `data.weights.weighed`."""

    strange: int | None
    largest: float
    total: float
    least: float
    positive: int


def two_labels(y):
    """Return the least and the greatest label, codes (m,) for these two, the number of rows of the greatest,
    and the number of rows of neither. Two launches, one wait. None if there is no kernel for the labels."""
    label = _LABELS.get(y.dtype.name)
    if label is None or not isinstance(y, cupy.ndarray) or y.device != cupy.cuda.Device():
        return None
    y, blocks = arrays.contiguous(y), block_count(len(y))
    ranges, codes = cupy.empty((blocks, 2), dtype=y.dtype), cupy.empty(len(y), dtype=np.uint8)
    told, size = cupy.empty(2 + 2 * blocks, dtype=np.float64), np.int64(len(y))
    shape = (blocks,), (shapes.THREADS,)
    kernel("labels.cu", f"label_range<{label}>")(*shape, (y, size, ranges))
    kernel("labels.cu", f"label_codes<{label}>")(*shape, (y, ranges, size, codes, told))
    told = cupy.asnumpy(told)
    least, most = (told[i : i + 1].view(y.dtype)[0].item() for i in range(2))
    high, neither = told[2:].reshape(blocks, 2).sum(axis=0)
    return least, most, codes, int(high), int(neither)


def class_totals(y, s, n_classes):
    """Rows of each class and sums of their weights, on the host; None if there is no kernel."""
    sums = _class_sums(y, s, n_classes)
    return None if sums is None else (sums[0].astype(np.int64), sums[1])


def _weights_and_rows(backend, pass_, block, stored):
    """The weights of each class, and how many of its rows have a positive one."""
    codes = block.y if pass_.codes is None else pass_.codes
    s = block.sample_weight
    sums = _class_sums(codes, s, pass_.n_classes)
    if sums is not None:
        return sums[[1, 2]]
    codes, s = cupy.asnumpy(codes), None if s is None else cupy.asnumpy(s)  # groups came from the host
    totals = np.bincount(codes, s, pass_.n_classes)
    return np.array([totals, totals if s is None else np.bincount(codes, s > 0, pass_.n_classes)])


def _class_sums(y, s, n_classes):
    if y.dtype != np.uint8 or y.ndim != 1 or not len(y):
        return None
    blocks, real = block_count(len(y)), np.dtype(np.float64) if s is None else s.dtype
    out = cupy.empty((n_classes, blocks, 3), dtype=np.float64)
    launch = kernel("labels.cu", f"class_totals<{REAL[real.name]}>")
    launch((blocks,), (shapes.THREADS,), (y, s, np.int64(len(y)), np.int32(n_classes), out))
    return cupy.asnumpy(out).sum(axis=1).T


def several_labels(y, least, most):
    """Classes on the host and codes on the device of integer labels in a range, with more than two classes.

    It takes a launch and a wait to find out which labels occur, and a launch for the codes.
    """
    if not most - least <= _MOST_RANGE or least != round(least):
        return None
    y, size, dtype = arrays.contiguous(y), int(most - least) + 1, y.dtype
    label, seen, low = _LABELS[dtype.name], cupy.zeros(size + 1, dtype=np.uint8), dtype.type(least)
    shape, m = ((block_count(len(y)),), (shapes.THREADS,)), np.int64(len(y))
    kernel("labels.cu", f"label_presence<{label}>")(*shape, (y, low, np.int32(size - 1), m, seen))
    seen = cupy.asnumpy(seen)
    classes = np.flatnonzero(seen[:-1]).astype(dtype) + low  # wraps around correctly for unsigned types
    if seen[-1] or not 2 < len(classes) <= len(y) // 2:
        return None
    kind = np.min_scalar_type(len(classes) - 1)
    codes, there = cupy.empty(len(y), dtype=kind), cupy.asarray((np.cumsum(seen[:-1]) - 1).astype(kind))
    name = f"label_lookup<{label}, {_CODES[kind.itemsize]}>"
    kernel("labels.cu", name)(*shape, (y, low, there, m, codes))
    return classes, codes


def in_float64(s):
    """Weights in float64 on the current device; from another device they are copied through the host, as
    labels are."""
    if s.device != cupy.cuda.Device():
        s = cupy.asarray(cupy.asnumpy(s))
    return arrays.in_type(s, np.dtype(np.float64))


def weights(s):
    """The Weights of a float64 vector with at least one element."""
    if s.dtype != np.float64 or s.ndim != 1 or not len(s):
        return None
    s, blocks = arrays.contiguous(s), block_count(len(s))
    out = cupy.empty((blocks, 5), dtype=np.float64)
    kernel("labels.cu", "weights_look")((blocks,), (shapes.THREADS,), (s, np.int64(len(s)), out))
    strange, largest, total, least, positive = cupy.asnumpy(out).T
    first, count = int(strange.min()), int(positive.sum())
    return Weights(
        None if first == len(s) else first,
        float(largest.max()),
        float(total.sum()),
        float(least.min()) if count else np.inf,
        count,
    )


def positive_rows(s, count):
    """The numbers of the rows with a positive weight, of which there are `count`."""
    s, blocks = arrays.contiguous(s), block_count(len(s))
    rows, left, size = cupy.empty(count, dtype=np.int64), cupy.empty(blocks), np.int64(len(s))
    each = np.int64(-(-len(s) // blocks))
    kernel("labels.cu", "positive_count")((blocks,), (shapes.THREADS,), (s, size, each, left))
    kernel("labels.cu", "positive_rows")((blocks,), (shapes.THREADS,), (s, size, each, left, rows))
    return rows


def scaled(s, scale, real):
    """Weights in float64 divided by a scale; zero where they are zero in the arithmetic of the passes."""
    s, out = arrays.contiguous(s), cupy.empty(len(s), dtype=np.float64)
    launch = kernel("labels.cu", f"scaled_weights<{REAL[real.name]}>")
    arguments = s, np.float64(scale), np.int64(len(s)), out
    launch((block_count(len(s)),), (shapes.THREADS,), arguments)
    return out


def of_model(block, model, real):
    """Labels (m,) and weights (m,), or None for ones, of one of several models; None without a kernel."""
    y, s, splits = block.y, block.sample_weight, block.splits
    if y.dtype != np.uint8 or not len(y):
        return None
    split, each = -1 if model.split is None else model.split, model.class_weight
    codes, s = cupy.empty(len(y), dtype=np.uint8), None if s is None else arrays.in_type(s, real)
    all_one = s is None and split < 0 and each is None
    weights = None if all_one else cupy.empty(len(y), dtype=real)
    sizes = [np.int32(1 if a is None or a.ndim == 1 else a.shape[1]) for a in (y, splits)]
    there = None if each is None else cupy.asarray(each, dtype=real)
    labels = y, sizes[0], np.int32(model.target if y.ndim > 1 else 0)
    arguments = *labels, splits, sizes[1], np.int32(split), s, there, np.int64(len(y)), codes, weights
    launch = kernel("labels.cu", f"model_rows<{REAL[real.name]}>")
    launch((block_count(len(y)),), (shapes.THREADS,), arguments)
    return codes, weights


KERNELS: dict = {(ClassTotals, None, None): _weights_and_rows}
