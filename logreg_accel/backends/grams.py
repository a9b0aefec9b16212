"""The contribution of a tile to a Hessian, by one product or in blocks."""

import numpy as np

from .. import clock

_WIDE = 2048  # bytes of a tile per column: if there are fewer, the contribution of a tile is made in blocks
_BLOCK_WORK = 1 << 31  # multiplications in a block, which take some hundredths of a second


def add_together(H, X, first, blocks):
    """Add a tile's contribution to all blocks (a, b, weights) of H by one product, for a small tile."""
    blocks = list(blocks)
    a, b = np.array([pair[:2] for pair in blocks]).T + first
    H[:, a, :, b] += X.weighted_grams(np.concatenate([weighted for *_, weighted in blocks], axis=1))


def add(backend, H, X, curvature, positive):
    """Add a tile's contribution to all of a block H except its last row."""
    m, n = X.shape
    clock.check()
    H[:n, n] += X.weighted_sum(curvature)
    H[n, n] += curvature.sum(dtype=np.float64)
    if n <= backend.tile_bytes // _WIDE:
        H[:n, :n] += X.weighted_gram(curvature, positive)
        return
    width = max(min(_BLOCK_WORK // (m * n), 512), 64)
    product = X.weighted_gram_rows(curvature)

    def add(i):
        start, stop = i * width, min((i + 1) * width, n)
        rows = product(start, stop)
        H[start:stop, :stop] += rows
        H[:start, start:stop] += rows[:, :start].T

    backend.each(add, -(-n // width))
