"""How a dense pass maps to threads: from X's layout to the kernel, its template arguments and its launch.

Pure arithmetic, so it is tested where there is no GPU. Everything here depends on the shape alone, never on
the device: the same rows are added in the same order on any GPU.
"""

import functools
import itertools
import math
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
_WHOLE = {"int16": "short", "uint16": "unsigned short", "int32": "int", "uint32": "unsigned"}
_WHOLE |= {"int64": "long long", "uint64": "unsigned long long"}
STORAGE |= {name: (storage, "double") for name, storage in _WHOLE.items()}
_BYTES = {"double": 8, "float": 4, "Half": 2, "BFloat16": 2, "signed char": 1, "unsigned char": 1}
_BYTES |= {"short": 2, "unsigned short": 2, "int": 4, "unsigned": 4, "long long": 8, "unsigned long long": 8}
_DOTS = {"LossGradient": 1, "HessianVector": 2, "ProductAt": 1, "Diagonal": 1, "Margins": 1}  # per output
PASSES = tuple(_DOTS)
# Instructions that the use of a number takes in addition to its multiply-add.
_CONVERSIONS = {"Half": 1, "BFloat16": 1, "signed char": 2, "unsigned char": 1}
_CONVERSIONS |= {"short": 1, "unsigned short": 1}
_AS_DOUBLES = {"int", "unsigned"}  # storage types whose converted numbers the compiler keeps
MOST_OUTPUTS = 16
MOST_COLUMNS = 24_576  # largest number of columns in float32 arithmetic; half as many in float64

# The possible mappings of a dense kernel, from which `_mapping` chooses.
_LANES = (1, 2, 4, 8, 16, 32, *range(64, 513, 32))  # threads that share a row: of a warp, or a whole block
_ROWS = (8, 4, 2, 1)  # rows that a group of lanes processes at once
_LANE_COLUMNS = 32  # largest number of floats that a lane of columns.cu keeps of a row, beside their sums
_COLUMNS_WARPS = 16  # largest number of its warps that share rows: for more there are no registers
_BLOCK_WARPS = 4  # warps of a block if a row needs a warp or less: small blocks leave no registers idle
_ENOUGH_IN_FLIGHT = 80 << 10  # bytes in flight per multiprocessor beyond which more do not help
_ENOUGH_WARPS = 12  # with fewer warps, a multiprocessor is idle whenever some of them wait
_LANES_OF_PARTS = 16  # least number of lanes that read a row in parts: fewer read each line of memory twice

# Slices of rows, one for each thread block: 512 or more if there are enough rows, so that the last round of
# blocks costs little (an H200 runs 132 to 800 blocks at once); up to 4,096 as long as the sums of a slice are
# under 1 % of what it reads. A slice has some steps at least, and so few rows per float32 accumulator that
# its rounding is below that of the margins: a very long X has more slices.
_SLICES = (512, 4096)
_SLICE_ROWS = 256
_LEAST_STEPS = 4
_MOST_TERMS = 1024

THREADS = 256  # kThreads in blocks.cuh
SUMMED = 8  # numbers of every slice that a block of sum_slices adds up: kSummed in dense.cu
_SPARSE_BLOCKS = 2048  # an H200 runs 1,056 at once


class Launch(NamedTuple):
    """A kernel and how to start it.

    kernel : name expression; grid, block : number of blocks, and of threads in a block; slice_rows : rows of
    a block.
    vector : columns of one load, of which the row stride, the offset of X's first column and the number of
    columns read are multiples.
    rows, lanes : rows that a group of threads processes at once, and threads that share a row.
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
    """The launch of a dense pass, or None if no kernel fits and the generic body is needed.

    Parameters
    ----------
    name : one of PASSES; "ProductAt" is "HessianVector" with known margins
    dtype : NumPy's name of X's storage dtype
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
    vector = min(vector or 16, 16 // itemsize)
    mapping = _mapping(n, storage, words, outputs, _DOTS[name] * outputs, vector)
    if mapping is None:
        return None

    chunk = mapping.rows * (1 if mapping.lanes > 32 else 32 // mapping.lanes * mapping.warps)
    slice_rows = chunk * _steps(m, chunk, mapping.rows, itemsize, words)
    kernel = _expression("dense", f"{name}<{outputs}>", storage, real, *mapping)
    block, vector = 32 * mapping.warps, mapping.vector
    return Launch(kernel, -(-m // slice_rows), block, slice_rows, vector, mapping.rows, mapping.lanes)


def columns(name, dtype, m, n, outputs=1):
    """The launch of a dense pass over a column-major X, or None if no kernel fits; see `dense`."""
    if dtype not in STORAGE or outputs > 1 or name == "ProductAt":
        return None
    storage, real = STORAGE[dtype]
    itemsize, words = _BYTES[storage], _BYTES[real] // 4
    sharing = -(-n // (_LANE_COLUMNS // words))  # warps that share a row
    if sharing > _COLUMNS_WARPS:
        return None
    warps, chunk = (sharing, 32) if sharing > 1 else (_BLOCK_WARPS, 32 * _BLOCK_WARPS)
    slice_rows = chunk * _steps(m, chunk, 1, itemsize, words)
    kernel = _expression("columns", f"{name}<1>", storage, real, -(-n // sharing), warps, sharing > 1)
    return Launch(kernel, -(-m // slice_rows), 32 * warps, slice_rows, 1, 1, sharing)


def _expression(kernel, *template):
    """The name of a kernel with its template arguments."""
    return f"{kernel}<{', '.join(str(a).lower() if isinstance(a, bool) else str(a) for a in template)}>"


def _steps(m, chunk, rows, itemsize, words):
    """The number of steps, of `chunk` rows, in a slice of m rows; `rows` of a step share an accumulator."""
    slices = min(max(m * itemsize // (_SLICE_ROWS * 4 * words), _SLICES[0]), _SLICES[1])
    return min(max(-(-m // (chunk * slices)), _LEAST_STEPS), _MOST_TERMS // rows)


class _Mapping(NamedTuple):
    """The numbers of a dense kernel from kVector to kResident."""

    vector: int
    packs: int
    rows: int
    lanes: int
    warps: int
    held: bool
    resident: int


@functools.lru_cache(maxsize=256)
def _mapping(n, storage, words, outputs, dots, vector):
    """The mapping that is fastest by `_cycles_per_byte`; None if threads have too few registers for any.

    Parameters
    ----------
    n : columns that are read
    storage : type of X in the kernels
    words : registers that hold one number of the arithmetic
    outputs, dots : sums, and products with a row
    vector : columns of the widest load that is aligned
    """
    itemsize = _BYTES[storage]
    narrowest = min(vector, max(1, 8 // itemsize)) if outputs == 1 else 1
    best, least = None, math.inf
    while vector >= narrowest:
        for lanes in _LANES:
            packs = -(-n // (vector * lanes))
            too_many = lanes > 1 and packs == 1 and 2 * n <= vector * lanes
            scattered = packs > 1 and lanes < _LANES_OF_PARTS
            if too_many or scattered or packs * vector * outputs > 64:
                continue
            warps = lanes // 32 if lanes > 32 else _BLOCK_WARPS
            for rows, held in itertools.product(_ROWS, (True, False)):
                one = _Mapping(vector, packs, rows, lanes, warps, held and outputs == 1, 0)
                resident = _resident_warps(_registers(one, storage, words, outputs, dots), warps)
                if resident:
                    cycles = _cycles_per_byte(one, n, storage, words, outputs, dots, resident)
                    if cycles < least:
                        best, least = one._replace(resident=32 * resident), cycles
        vector //= 2
    return best


def _registers(one, storage, words, outputs, dots):
    """The approximate number of registers of a thread, fitted to what NVIDIA's compiler reports.

    A thread keeps, for each of its columns, the sums, the weights if they are `held`, and the rows in
    progress with their products. Tests compare the formula with the compiler.
    """
    columns, owned = one.packs * one.vector, max(1, one.rows // min(one.lanes, 32))
    # addresses, counters, temporaries of the formulas
    others = words * (20 + 4 * dots) if outputs == 1 else words * (48 + 2 * (dots + outputs))
    others += 4 * _CONVERSIONS.get(storage, 0)
    sums = columns * outputs * words
    weights = (columns * dots if one.held else one.vector) * words
    kept = 8 if storage in _AS_DOUBLES else _BYTES[storage]
    rows = one.rows * max(1, columns * kept // 4)
    products = one.rows * dots * words
    return others + sums + weights + rows + products + 3 * owned * outputs * (owned > 1)


def _resident_warps(registers, warps):
    """The number of such warps that a multiprocessor runs, in whole blocks; 0 if registers do not suffice.

    It has four parts, each with 512 registers per lane, allocated in units of eight. More than 16 warps gain
    nothing.
    """
    fit = 4 * (512 // (-(-registers // 8) * 8)) if registers <= 255 else 0
    return min(fit, 16) // warps * warps


def _cycles_per_byte(one, n, storage, words, outputs, dots, resident):
    """An estimate that ranks mappings: the sum of the times by latency and by the number of instructions.

    bench/gpu/gpu_variants.py times all mappings, with which this estimate was compared.
    """
    columns, lanes = one.packs * one.vector, min(one.lanes, 32)
    owned = max(1, one.rows // lanes)
    a_number = (dots + outputs) * words + 2 * _CONVERSIONS.get(storage, 0)
    instructions = (
        one.rows * (columns * a_number + 5 * one.packs + 2 * outputs) + 115 * owned * outputs * words
    )
    shuffled = one.rows
    for _ in range(lanes.bit_length() - 1):
        shuffled = max(1, shuffled // 2)
        instructions += 4 * dots * words * shuffled
    if not one.held:
        raised = one.vector if _BYTES[storage] == 1 else 0
        instructions += one.packs * dots * (one.vector * words // 4 + 3 + raised)
    latency = instructions + (0 if one.held else 40 * one.packs)
    if one.lanes > 32:  # all wait at the barrier, during which none of them loads
        instructions += 2 * one.warps * dots + 15
        latency = 100 + max(1, one.warps / 4) * latency

    groups = 1 if one.lanes > 32 else one.warps * (32 // one.lanes)  # of lanes, in a block
    row_bytes, blocks = n * _BYTES[storage], resident // one.warps
    in_flight = min(blocks * groups * one.rows * row_bytes, _ENOUGH_IN_FLIGHT)
    cycles = (1000 + latency) / in_flight + instructions * one.warps / (4 * groups * one.rows * row_bytes)
    return cycles * max(1, _ENOUGH_WARPS / resident)


@functools.lru_cache(maxsize=64)
def sparse(name, dtype, m, entries, outputs=1):
    """Kernel and grid of a pass over compressed rows, in blocks of `THREADS`; None if no kernel fits.

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
    """Kernel, grid and block of the sum over slices, each of which has `numbers` numbers.

    A thread adds about eight slices, or more if a block cannot have more threads.
    """
    warps = min(32, _power_of_two_above(-(-slices * SUMMED // 256)))
    return f"sum_slices<{real}>", -(-numbers // SUMMED), 32 * warps


def _power_of_two_above(x):
    """The smallest power of two that is at least x."""
    return 1 << (x - 1).bit_length()
