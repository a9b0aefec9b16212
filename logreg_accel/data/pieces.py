"""Where rows are cut: blocks of a product of all rows with all rows, runs of a batch."""

_RUNS = 4
_GRAM_BLOCKS, _GRAM_ROWS = 16, 64  # blocks of rows of X·Xᵀ at most, and rows in each at least


def gram_bounds(m):
    """Return the boundaries of the blocks of rows of X·Xᵀ."""
    step = max(-(-m // _GRAM_BLOCKS), _GRAM_ROWS)
    return [*range(0, m, step), m]


def runs_of(m, number, n_batches):
    """Return the slices of one of `n_batches` batches of m rows: runs of adjacent rows in a few places."""
    runs = max(1, min(_RUNS, m // n_batches))
    bounds = [(m * i // runs, m * (i + 1) // runs) for i in range(runs)]
    return [
        slice(lo + (hi - lo) * number // n_batches, lo + (hi - lo) * (number + 1) // n_batches)
        for lo, hi in bounds
    ]
