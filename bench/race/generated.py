"""Generated families: every maker maps (rows, rng) to X, float32, and y, 0 or 1."""

import numpy as np

_BLOCK = 1 << 16  # rows generated at a time: float64 on the way is for these only


def _filled(m, n, block):
    """X (m, n) float32, block(rows) by block."""
    X = np.empty((m, n), dtype=np.float32)
    for start in range(0, m, _BLOCK):
        stop = min(m, start + _BLOCK)
        X[start:stop] = block(stop - start)
    return X


def _drawn(margins, rng):
    """y of 0 and 1 with the odds of the margins."""
    margins = margins.astype(np.float64)
    return rng.random(len(margins)) < np.exp(-np.logaddexp(0, -margins))


def _shifted(margins, rate):
    """Margins moved so that a share of `rate` of the rows is expected to be positive."""
    low, high = -100.0, 100.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        too_many = np.exp(-np.logaddexp(0, -(margins + middle).astype(np.float64))).mean() > rate
        low, high = (low, middle) if too_many else (middle, high)
    return margins + middle


def _neighbours(m, n, rng):
    """Standard normal columns, each mixed with the one before: condition of some 10."""

    def block(rows):
        X = rng.standard_normal((rows, n), dtype=np.float32)
        X[:, 1:] += 0.5 * X[:, :-1]
        return X

    return _filled(m, n, block)


def well(n, rate=0.4):
    """Weights of size 1/√n, a share of positives of `rate`."""

    def make(m, rng):
        X = _neighbours(m, n, rng)
        return X, _drawn(_shifted(X @ (rng.standard_normal(n) / np.sqrt(n)).astype(np.float32), rate), rng)

    return make


def ill(n, condition=1e4):
    """A covariance of that condition in rotated axes; every axis counts alike in the margins."""

    def make(m, rng):
        U = np.linalg.qr(rng.standard_normal((n, n)))[0]
        scales = np.logspace(0, -np.log10(condition) / 2, n)
        mix = (scales[:, None] * U.T).astype(np.float32)
        X = _filled(m, n, lambda rows: rng.standard_normal((rows, n), dtype=np.float32) @ mix)
        return X, _drawn(X @ (U @ (rng.standard_normal(n) / scales) / np.sqrt(n)).astype(np.float32), rng)

    return make


def rare(n, rate):
    """Few positives, whom the features tell well: margins spread by some 4."""

    def make(m, rng):
        X = _filled(m, n, lambda rows: rng.standard_normal((rows, n), dtype=np.float32))
        return X, _drawn(_shifted(X @ (0.5 * rng.standard_normal(n)).astype(np.float32), rate), rng)

    return make


def one_hot(m, rng):
    """Three columns of 293 levels, the most of them rare (Zipf), one-hot, and 21 normal ones: 900, dense."""
    levels, numeric = 293, 21
    X = np.zeros((m, 3 * levels + numeric), dtype=np.float32)
    for column in range(3):
        X[np.arange(m), column * levels + rng.zipf(1.6, m) % levels] = 1
    X[:, 3 * levels :] = rng.standard_normal((m, numeric), dtype=np.float32)
    return X, _drawn(X @ rng.standard_normal(X.shape[1]).astype(np.float32) - 1, rng)


def heavy(n):
    """Student's t with 2.1 degrees of freedom, columns scaled over six decades."""

    def make(m, rng):
        scales = np.logspace(-3, 3, n)
        X = _filled(m, n, lambda rows: rng.standard_t(2.1, (rows, n)) * scales)
        return X, _drawn(X @ (0.3 * rng.standard_normal(n) / scales).astype(np.float32), rng)

    return make


def nearly_separable(n):
    """Heavy tails, half of the columns mostly zero, and margins of hundreds.

    All but a few rows are on their side.
    """

    def make(m, rng):
        scales = np.logspace(-1, 1, n)

        def block(rows):
            X = rng.standard_t(2.5, (rows, n)) * scales
            X[:, n // 2 :] *= rng.random((rows, n - n // 2)) < 0.05
            return X

        X = _filled(m, n, block)
        margins = X @ (30 * rng.standard_normal(n)).astype(np.float32)
        return X, _drawn(margins + 3 * rng.standard_normal(m, dtype=np.float32), rng)

    return make


def few_of_many(m, rng):
    """Normal columns of which a fifth bear on the class."""
    X = _filled(m, 200, lambda rows: rng.standard_normal((rows, 200)))
    w = np.where(rng.random(200) < 0.2, rng.standard_normal(200), 0)
    return X, _drawn(X @ w.astype(np.float32), rng)


def wide(n):
    """More features than rows, neighbours of which are correlated."""

    def make(m, rng):
        X = _neighbours(m, n, rng)
        return X, _drawn(X @ (3 * rng.standard_normal(n) / np.sqrt(n)).astype(np.float32), rng)

    return make


def text(n, words, classes=2):
    """Rows of so many words, as frequent as words are (Zipf), weighted as TF-IDF is, normalised; sparse."""

    def make(m, rng):
        frequency = np.cumsum(1 / (np.arange(n) + 8.0))
        columns = np.searchsorted(frequency, rng.random(m * words) * frequency[-1])
        X = _sparse(m, n, columns)
        X = X.multiply(np.log(m / (1 + X.astype(bool).sum(axis=0)))).tocsr()
        X = X.multiply(1 / np.sqrt(X.multiply(X).sum(axis=1))[:, None]).tocsr()
        if classes > 2:
            margins = 8 * (X @ rng.standard_normal((n, classes)))
            return X, (margins + rng.gumbel(size=margins.shape)).argmax(axis=1)
        return X, _drawn(8 * (X @ rng.standard_normal(n)) - 0.5, rng)

    return make


def categories(*levels):
    """A one-hot column for every level of some variables, few of which are frequent (Zipf); sparse."""

    def make(m, rng):
        starts = np.cumsum([0, *levels])
        columns = [
            start + np.searchsorted(shares := np.cumsum(1 / np.arange(1, n + 1)), rng.random(m) * shares[-1])
            for start, n in zip(starts[:-1], levels, strict=True)
        ]
        X = _sparse(m, starts[-1], np.stack(columns, axis=1).ravel())
        return X, _drawn(X @ rng.standard_normal(starts[-1]) + 2.5, rng)

    return make


def _sparse(m, n, columns):
    """Ones at m runs of columns, repeated ones added up."""
    from scipy.sparse import csr_array

    runs = np.arange(m + 1) * (len(columns) // m)
    X = csr_array((np.ones(len(columns), dtype=np.float32), np.minimum(columns, n - 1), runs), shape=(m, n))
    X.sum_duplicates()
    return X
