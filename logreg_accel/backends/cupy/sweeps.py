"""Sweeps over row vectors (a number per row) by the kernels of kernels/cuda/sweeps.cu: one launch, one
wait."""

import cupy
import numpy as np

from ...kernels.cuda import shapes
from ...losses import Logistic
from .. import drawing
from .. import passes as p
from ..sweeps import FAR
from . import arrays
from .compiler import REAL, kernel
from .workspace import Exchange, waited_for

_MAX_BLOCKS = 1024


def block_count(size):
    """The number of thread blocks of a sweep over `size` numbers."""
    return max(1, min(_MAX_BLOCKS, -(-size // shapes.THREADS)))


def _launch(name, first, *arguments):
    """Start a kernel whose first argument is a vector."""
    launch = kernel("sweeps.cu", f"{name}<{REAL[first.dtype.name]}>")
    launch((block_count(first.size),), (shapes.THREADS,), (first, *arguments))


def _of_blocks(name, count, first, *arguments):
    """The results of a kernel for each thread block, on the host (blocks, count)."""
    out = cupy.empty((block_count(first.size), count), dtype=np.float64)
    _launch(name, first, *arguments, np.int64(first.size), out)
    return cupy.asnumpy(out)


def total_mass(mass):
    """Σ mass in float64, and how many are positive; None if there is no kernel for the vector."""
    if mass.dtype.name not in REAL or not mass.size:
        return None
    total, count = _of_blocks("mass_total", 2, arrays.contiguous(mass)).sum(axis=0)
    return float(total), int(count)


def rows_above(mass, scale, even, bar, seed, numbers=None):
    """As `Backend.rows_above`, by two launches and a wait after each; None if there is no kernel."""
    if not _has_kernel(mass, numbers):
        return None
    mass, known = arrays.contiguous(mass), _passing(mass, scale, even, bar, seed, numbers)
    counts = Exchange(blocks=(block_count(mass.size), np.float64))
    with waited_for() as stream:
        _launch("mass_passing", mass, *known, counts.there.blocks)
        counts.fetch(stream)
    room = int(counts.here.blocks.sum())
    answer = _answer(mass, room)
    with waited_for() as stream:
        _take(answer, room, mass, known, counts.there.blocks)
        answer.fetch(stream)
    return answer.here.rows.copy(), answer.here.masses.copy()


def rows_of_share(mass, uniform, share, seed, numbers=None, codes=None):
    """As `Backend.rows_of_share`, by three launches and one wait; None if there is no kernel, or if more rows
    pass than there is room for, which is next to impossible."""
    strange = codes is not None and (codes.dtype != np.uint8 or codes.ndim != 1)
    if strange or not _has_kernel(mass, numbers):
        return None
    mass, expected, blocks = arrays.contiguous(mass), 1 / share, block_count(mass.size)
    room = min(int(expected + 8 * np.sqrt(expected)) + 64, mass.size)
    sums, counts = cupy.empty((blocks, 2), dtype=np.float64), cupy.empty(blocks, dtype=np.float64)
    known = _passing(mass, 1 - uniform, uniform, share, seed, numbers, sums)
    answer = _answer(mass, room)
    with waited_for() as stream:
        _launch("mass_total", mass, np.int64(mass.size), sums)
        _launch("mass_passing", mass, *known, counts)
        _take(answer, room, mass, known, counts, codes)
        answer.fetch(stream)
    here, (total, count, passed) = answer.here, answer.here.told.tolist()
    if passed > room:
        return None
    rows, masses, codes = (array[: int(passed)].copy() for array in (here.rows, here.masses, here.codes))
    return (total, int(count)), rows, masses, codes


def _has_kernel(mass, numbers):
    """Whether kernels draw by these masses; their hash is that of row numbers of 32 bits."""
    largest = mass.size - 1 if numbers is None else int(numbers.max(initial=0))
    return mass.dtype.name in REAL and mass.size > 0 and largest < 2**32


def _passing(mass, scale, even, bar, seed, numbers, sums=None):
    """Which rows pass, as the kernels are told after the masses."""
    numbers = None if numbers is None else cupy.asarray(numbers.astype(np.uint32, copy=False))
    draw = np.float64(scale), np.float64(even), np.float32(bar), *drawing.keys(seed)
    return numbers, sums, *draw, np.int64(mass.size), np.int64(-(-mass.size // block_count(mass.size)))


def _answer(mass, room):
    """Room for as many rows that pass."""
    each = {"rows": np.int64, "masses": mass.dtype, "codes": np.uint8}
    return Exchange(told=(3, np.float64), **{name: (room, dtype) for name, dtype in each.items()})


def _take(answer, room, mass, known, counts, codes=None):
    """Start writing the rows that pass into an answer."""
    there = answer.there
    out = np.int64(room), there.told, there.rows, there.masses, there.codes
    _launch("mass_taken", mass, *known, counts, codes, *out)


def vectors(*those):
    """Row vectors as kernels take them: contiguous, in the dtype of the first one."""
    return [None if a is None else arrays.in_type(a, those[0].dtype) for a in those]


def curvatures(backend, loss, Z, y, s, U=None):
    """Curvatures of one output, times weights and U."""
    if Z.shape[1] != 1 or not Z.size:
        return None
    Z, s, U = vectors(Z, s, U)
    out = cupy.empty_like(Z)
    _launch("logistic_curvatures", Z, s, U, np.int64(Z.size), out)
    return out, None


def curvature_mass(backend, pass_, block, stored):
    """The curvatures times the weights, a vector, for one model."""
    s = None if block.sample_weight is None else block.sample_weight[:, None]
    result = None if pass_.models else curvatures(backend, pass_.loss, pass_.margins, block.y, s)
    return None if result is None else result[0][:, 0]


def _of_one_output(pass_):
    """Whether a kernel takes the margins of a sweep between two points."""
    return not pass_.models and pass_.start.shape[1] == 1 and pass_.start.size > 0


def margin_change(backend, pass_, block, stored):
    """How the margins of one model changed."""
    if not _of_one_output(pass_):
        return None
    with waited_for() as stream:
        answer = begin_change(stream, pass_.start, pass_.end, block)
    return change_of(answer)


def begin_change(stream, start, end, block):
    """Start computing the change of margins; after the stream has finished, `change_of` returns it."""
    start, end, s = vectors(start, end, block.sample_weight)
    answer = Exchange(blocks=(4 * block_count(start.size), np.float64))
    far, size = start.dtype.type(FAR), np.int64(start.size)
    _launch("logistic_change", start, end, block.y, s, far, size, answer.there.blocks)
    answer.fetch(stream)
    return answer


def change_of(answer):
    """The Change, on the host."""
    blocks = answer.here.blocks.reshape(-1, 4)
    largest = blocks[:, :3].max(axis=0)
    return p.Change(float(largest[0]), float(-largest[1]), float(largest[2]), float(blocks[:, 3].sum()))


def above_tangent(backend, pass_, block, stored):
    """How far the losses of one model lie above their tangents."""
    if not _of_one_output(pass_):
        return None
    start, end, s = vectors(pass_.start, pass_.end, block.sample_weight)
    return _of_blocks("logistic_above", 1, start, end, block.y, s).sum(axis=0)


KERNELS: dict = {
    (p.CurvatureMass, Logistic, None): curvature_mass,
    (p.MarginChange, Logistic, None): margin_change,
    (p.AboveTangent, Logistic, None): above_tangent,
}
POINTWISE: dict = {("curvature", Logistic): curvatures, ("curvature_product", Logistic): curvatures}
