"""How a pass of many outputs maps to threads: the template arguments of outputs.cu and its launch.

As in `shapes`, the order in which sums are added depends on the layout of X alone. The number of tiles in
flight also depends on the device, and changes no sum.
"""

import functools
from typing import NamedTuple

from .shapes import STORAGE

COLUMNS = 32  # columns of W that one launch takes at most
_HALF = 16  # columns in one product of a tensor core
_WARPS = 8
_SLICES = 528  # slices, one for each block: four rounds of the 132 multiprocessors of an H200
_SLICE_ROWS = (4, 8192)  # tiles of a slice at least, and its rows at most
_STAGES = (2, 6)
_STATIC = 5 << 10  # bytes of shared memory that a block takes beside the dynamic part

# The mappings for which there are enough registers, (outputs / 16, products of a row / 16) -> rows of: blocks
# of 8 columns per warp at most, rows of a tile that warps share, whether weights stay in registers, blocks
# per multiprocessor. Tests compare the registers with what NVIDIA's compiler reports.
_LIMITS = {
    (1, 1): ((4, 32, True, 2), (16, 16, True, 1), (22, 8, False, 1)),
    (2, 2): ((2, 32, True, 2), (4, 16, True, 1), (13, 16, False, 1)),
    (1, 2): ((8, 16, False, 1),),
    (2, 4): ((8, 8, False, 1),),
}
_PASSES = {  # name -> (kernel's, products of a row for an output)
    "LossGradient": ("Gradients", 1),
    "HessianVector": ("Products", 2),
    "ProductsAt": ("ProductsAt", 1),
    "Diagonal": ("Diagonals", 1),
    "Margins": ("OnlyMargins", 1),
}


class Launch(NamedTuple):
    """A kernel and how to start it; see `shapes.Launch`.

    rows_of_weights : number of rows of weights that it reads, those for margins before those for products
    tile_bytes, other_bytes : shared memory for each tile in flight, and for the rest
    least_bytes : shared memory that the end of the kernel takes
    resident : blocks per multiprocessor, if there is shared memory for them
    """

    kernel: str
    grid: int
    block: int
    slice_rows: int
    rows_of_weights: int
    tile_bytes: int
    other_bytes: int
    least_bytes: int
    resident: int


class _Mapping(NamedTuple):
    """The numbers of the kernel from kBlocks to kResident."""

    blocks: int
    rows: int
    warps: int
    across: int
    held: bool
    resident: int


def widest(name, dtype, n):
    """Columns of W that one launch may take: 32, 16, or 0 if rows are too wide or of another type."""
    if STORAGE.get(dtype, (0, 0))[1] != "float":
        return 0
    return next((16 * halves for halves in (2, 1) if _mapping(name, n, halves)), 0)


def outputs(name, dtype, m, n, columns, vector, classes=1, side_by_side=False):
    """The launch of a pass with some columns of W, or None.

    Parameters
    ----------
    name : "LossGradient", "HessianVector", "ProductsAt", "Diagonal" or "Margins"
    dtype : name of X's storage dtype
    m, n : rows, and columns of X that are read
    columns : number of columns of W
    vector : columns of X in one copy
    classes : columns of W of one softmax model; 1 for the logistic loss
    side_by_side : bool
        Whether the columns are models, whose sums must not depend on how many share the launch.

    Returns
    -------
    Launch or None
    """
    room = widest(name, dtype, n)
    if columns > room:
        return None
    halves = -(-columns // _HALF)
    mapping = _mapping(name, n, room // _HALF if side_by_side else halves)
    storage = STORAGE[dtype][0]
    itemsize = {"float": 4, "Half": 2, "BFloat16": 2}.get(storage, 1)
    kind, products = _PASSES[name]
    loss = "kLogistic" if classes == 1 else "kSoftmax" if classes == columns else "kSoftmaxes"
    numbers = (kind, loss, storage, vector * itemsize, halves, *mapping)
    kernel = f"outputs<{', '.join(str(a).lower() if isinstance(a, bool) else str(a) for a in numbers)}>"

    tile_rows = mapping.warps // mapping.across * mapping.rows
    fewest, most = _SLICE_ROWS
    slice_rows = min(-(-m // (_SLICES * mapping.resident)), most)
    slice_rows = max(-(-slice_rows // tile_rows), fewest) * tile_rows
    columns_of_tile = 8 * mapping.blocks * mapping.across
    margins = _WARPS * mapping.rows * (16 * halves * products + 8) * 4
    return Launch(
        kernel,
        -(-m // slice_rows),
        32 * mapping.warps,
        slice_rows,
        _HALF * halves * products,
        tile_rows * pitch(columns_of_tile, itemsize),
        margins,
        4 * _HALF * halves * columns_of_tile if mapping.across < mapping.warps else 0,
        mapping.resident,
    )


def pitch(columns, itemsize):
    """Bytes from row to row of a tile: those of kPitch."""
    uneven = 32 if itemsize == 4 else 16
    return (-(-columns * itemsize // uneven) | 1) * uneven


def stages(launch, of_block, of_multiprocessor):
    """Tiles in flight and bytes of dynamic shared memory on a device; None if too few tiles fit.

    Parameters
    ----------
    launch : Launch
    of_block, of_multiprocessor : bytes of shared memory that the device has for each
    """
    fewest, most = _STAGES
    shared = of_multiprocessor // launch.resident
    for limit in (min(of_block, shared), of_block):
        count = min((limit - _STATIC - launch.other_bytes) // launch.tile_bytes, most)
        if count >= fewest:
            return count, max(count * launch.tile_bytes + launch.other_bytes, launch.least_bytes)
    return None


@functools.lru_cache(maxsize=256)
def _mapping(name, n, halves):
    """The first mapping that has room for n columns, with as few warps across a row as possible."""
    blocks = -(-n // 8)
    for most, rows, held, resident in _LIMITS[halves, halves * _PASSES[name][1]]:
        for across in (1, 2, 4, 8) if resident > 1 else (8,):
            if blocks <= most * across:
                # so many rows that a lane has at most eight margins to work on
                rows = min(rows, 16 if name == "ProductsAt" else 32, 32 * across // (2 * halves))
                return _Mapping(-(-blocks // across), rows, _WARPS, across, held, resident)
    return None
