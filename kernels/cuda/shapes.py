"""How a dense pass maps to threads: from X's layout to the kernel, its template arguments and its launch.

Pure arithmetic, so it is tested where there is no GPU. Everything here depends on the shape alone, never on
the device: the same rows are added in the same order on any GPU.
"""

import functools
from typing import NamedTuple

STORAGE = {  # NumPy's name -> (type in the kernels, type of the arithmetic)
    "float64": ("double", "double"),
    "float32": ("float", "float"),
    "float16": ("Half", "float"),
    "bfloat16": ("BFloat16", "float"),
    "int8": ("signed char", "float"),
    "uint8": ("unsigned char", "float"),
    "bool": ("unsigned char", "float"),
}
_BYTES = {"double": 8, "float": 4, "Half": 2, "BFloat16": 2, "signed char": 1, "unsigned char": 1}
_DOTS = {
    "LossGradient": 1,
    "HessianVector": 2,
    "Diagonal": 1,
    "Margins": 1,
}  # products with a row, per output
MOST_OUTPUTS = 16
MOST_COLUMNS = 8192
_MOST_THREADS = 512  # of a block: 1,024 leave 64 registers a thread, too few for 8,192 columns
_BLOCK_WARPS = 4  # where a row needs a warp or less: small blocks leave no registers idle

# Slices of rows, a block each: 512 or more where there are rows for it, so that the last round of blocks
# costs little (an H200 runs 132 to 800 at once); up to 4,096 as long as each has 256 rows, whose sums are
# then under 1 % of X. A slice takes some steps at least, and no more rows to a float32 accumulator than keep
# its rounding below that of the margins: very long X has more slices.
_SLICES = (512, 4096)
_SLICE_ROWS = 256
_LEAST_STEPS = 4
_MOST_TERMS = 1024

THREADS = 256  # kThreads in blocks.cuh
_SPARSE_BLOCKS = 2048  # an H200 runs 1,056 at once


class Launch(NamedTuple):
    """A kernel and how to start it.

    kernel : name expression; grid, block : numbers of blocks and of threads in one; slice_rows : rows of one
    block.
    vector : columns of one load: what the row stride, X's first column and the number of columns read are
    multiples of.
    rows, lanes : rows under way at once in a group of threads, and the threads that share a row.
    """

    kernel: str
    grid: int
    block: int
    slice_rows: int
    vector: int
    rows: int
    lanes: int


def widest_vector(itemsize, address, stride, n):
    """Columns that one load may take: 16 bytes at most, and everything aligned.

    Parameters
    ----------
    itemsize : bytes of a number of X
    address : of X's first number
    stride : numbers from row to row
    n : columns that may be read; padding counts where it holds zeros
    """
    vector = 16 // itemsize
    while vector > 1 and (address % (vector * itemsize) or stride % vector or n % vector):
        vector //= 2
    return vector


def padded(n, itemsize):
    """Columns of a stored row so that 16-byte loads fit: at most 15 bytes a row."""
    vector = 16 // itemsize
    return -(-n // vector) * vector


def dense(name, dtype, m, n, outputs=1, vector=None):
    """The launch of a dense pass, or None where no kernel fits and the generic body has to do.

    Parameters
    ----------
    name : "LossGradient", "HessianVector", "Diagonal" or "Margins"
    dtype : name of X's storage dtype, as NumPy says it
    m, n : rows, and columns that are read
    outputs : columns of W
    vector : columns of one load; None for 16 bytes

    Returns
    -------
    Launch or None
    """
    if dtype not in STORAGE or n > MOST_COLUMNS or outputs > MOST_OUTPUTS:
        return None
    storage, real = STORAGE[dtype]
    itemsize, words = _BYTES[storage], _BYTES[real] // 4
    dots = _DOTS[name] * outputs
    vector = min(vector or 16, 16 // max(itemsize, 2), _power_of_two(64 // (outputs * words)))
    while (mapping := _mapping(n, itemsize, words, outputs, dots, vector)) is None:
        if vector == 1:
            return None
        vector //= 2
    _, rows, lanes, warps, *_ = mapping

    side = 1 if lanes > 32 else 32 // lanes
    step = rows * side * (1 if lanes > 32 else warps)
    slices = min(max(m // _SLICE_ROWS, _SLICES[0]), _SLICES[1])
    steps = min(max(-(-m // (step * slices)), _LEAST_STEPS), _MOST_TERMS // rows)
    template = (f"{name}<{outputs}>", storage, real, vector, *mapping)
    kernel = f"dense<{', '.join(str(a).lower() if isinstance(a, bool) else str(a) for a in template)}>"
    return Launch(kernel, -(-m // (step * steps)), 32 * warps, step * steps, vector, rows, lanes)


def _mapping(n, itemsize, words, outputs, dots, vector):
    """The numbers of a dense kernel from kPacks to kResident; None where a thread has too few registers.

    A thread keeps, for each of its columns, the sums (of `outputs`), where there is room the weights (of
    `dots` vectors), and the rows under way with their products. `words` registers hold one number of the
    arithmetic. What is left for that beside margins, addresses and counters was fitted to what NVIDIA's
    compiler reports, and the tests hold it to that.
    """
    packs = -(-n // vector)
    with_weights = (outputs + dots) if outputs == 1 else outputs
    in_warp = min(
        64 // (with_weights * words), 32 // words**2
    )  # columns of a thread where a warp or less has a row
    in_block = min(64 // (outputs * words), 16 // words)
    if packs <= 32 * max(1, _power_of_two(in_warp) // vector):
        lanes, warps = min(32, _power_of_two_above(packs)), _BLOCK_WARPS
    else:
        lanes = _power_of_two_above(-(-packs * vector // _power_of_two(in_block)))
        lanes = min(_MOST_THREADS, max(32, lanes))
        warps = lanes // 32
    packs = _power_of_two_above(-(-packs // lanes))
    columns = packs * vector

    alone = lanes == _MOST_THREADS  # the block fills a multiprocessor: nobody else loads while it adds
    if alone:
        room = 128 - words * (20 * (dots + outputs) - 16)
    elif outputs == 1:
        room = 160 - words * 28
    else:
        room = 232 - words * (24 + 2 * (dots + outputs))
    sums, weights = columns * outputs * words, columns * dots * words
    row = max(1, columns * itemsize // 4) + dots * words
    prefetch = (alone or outputs >= 4) and sums + 2 * row <= room
    row *= 2 if prefetch else 1
    held = outputs == 1 and sums + weights + row <= room
    left = room - sums - (weights if held else 0)
    if left < row:
        return None
    rows = _power_of_two(min(8, left // row))

    # Threads that a multiprocessor shall hold, so that the compiler keeps to their registers: unasked it
    # takes 20 to 90 more.
    resident = 256 if outputs > 1 else 512 if (sums + weights) * words <= 32 else 384
    return packs, rows, lanes, warps, held, prefetch, max(resident, 32 * warps)


@functools.lru_cache(maxsize=64)
def sparse(name, dtype, m, entries, outputs=1):
    """Kernel and grid of a pass over compressed rows, in blocks of `THREADS`; None where none fits.

    Parameters
    ----------
    name : a pass as in `dense`, or "transposed", "weighted_gram" or "reaches"
    dtype : name of the storage dtype of the entries
    m, entries : of the matrix
    outputs : columns of W
    """
    if dtype not in STORAGE or outputs > MOST_OUTPUTS:
        return None
    storage, real = STORAGE[dtype]
    lanes = next(lanes for lanes in (2, 8, 32) if lanes == 32 or entries <= 4 * lanes * m)
    if name == "reaches":
        kernel, lanes = f"reaches<{storage}>", 1
    elif name == "weighted_gram":
        kernel = f"weighted_gram<{storage}, {real}, {lanes}>"
    elif name == "transposed":
        kernel = f"transposed<{outputs}, {storage}, {real}, {lanes}>"
    else:
        kernel = f"sparse<{name}<{outputs}>, {storage}, {real}, {lanes}>"
    return kernel, max(1, min(_SPARSE_BLOCKS, -(-m * lanes // THREADS)))


def sum_slices(real, slices, numbers):
    """Kernel, grid and block of the sum over slices of so many numbers each."""
    warps = min(32, _power_of_two_above(-(-slices // 8)))
    return f"sum_slices<{real}>", -(-numbers // 32), 32 * warps


def _power_of_two(x):
    """The largest one that is at most x; 1 for less."""
    return 1 << (max(x, 1).bit_length() - 1)


def _power_of_two_above(x):
    """The smallest one that is at least x."""
    return 1 << (x - 1).bit_length()
