"""Feature matrices that break arithmetic, each a function (rng, m, n) → float64 (m, about n) columns."""

import numpy as np
import scipy.sparse

DESIGNS = {}


def design(make):
    DESIGNS[make.__name__.replace("_", " ")] = make
    return make


def decades(rng, low, high, size=None):
    """Log-uniform numbers."""
    return 10.0 ** rng.uniform(low, high, size)


@design
def gaussian(rng, m, n):
    return rng.standard_normal((m, n))


@design
def ill_conditioned(rng, m, n):
    """Condition up to 1e14, in directions that are no columns."""
    U = np.linalg.qr(rng.standard_normal((m, n)))[0] if m >= n else rng.standard_normal((m, n))
    V = np.linalg.qr(rng.standard_normal((n, n)))[0]
    return U * np.logspace(0, -rng.uniform(0, 14), n) @ V.T * np.sqrt(m)


@design
def one_column_uncentred(rng, m, n):
    X = rng.standard_normal((m, n))
    X[:, rng.integers(n)] += rng.choice([-1, 1]) * decades(rng, 1, 9)
    return X


@design
def all_columns_uncentred(rng, m, n):
    return rng.standard_normal((m, n)) + decades(rng, 0, 9, n) * rng.choice([-1, 1], n)


@design
def correlated_uncentred(rng, m, n):
    """A common factor far from zero: the usual table of prices of one day."""
    common = decades(rng, 1, 6) * (1 + 0.01 * rng.standard_normal(m))
    return common[:, None] * rng.uniform(0.5, 2, n) + rng.standard_normal((m, n)) * decades(rng, -3, 1)


@design
def calendar(rng, m, n):
    """Unix seconds, years, days, prices in cents, latitudes, ids, ages."""
    seconds = 1.7e9 + np.sort(rng.uniform(0, decades(rng, 3, 8), m)).round()
    columns = [
        seconds,
        (1970 + seconds / 3.156e7).round(),
        rng.integers(1, 366, m),
        rng.integers(199, 199999, m),
        52 + 0.1 * rng.standard_normal(m),
        13 + 0.1 * rng.standard_normal(m),
        1e6 + np.arange(m),
        rng.integers(18, 90, m),
        seconds * 1000,
    ]
    return np.stack([columns[j % len(columns)] for j in rng.permutation(max(n, 3))], axis=1).astype(float)


@design
def wild_units(rng, m, n):
    return rng.standard_normal((m, n)) * decades(rng, -8, 8, n)


@design
def extreme_units(rng, m, n):
    """Columns whose squares leave the range of float32."""
    return rng.standard_normal((m, n)) * decades(rng, -24, 18, n)


@design
def one_unit(rng, m, n):
    """All columns tiny or huge."""
    return rng.standard_normal((m, n)) * decades(rng, -24, 12)


@design
def rare_levels(rng, m, n):
    """One-hot columns of a skewed distribution, some of them met once or never."""
    levels = rng.zipf(rng.uniform(1.2, 2), m) % n
    return np.eye(n)[levels]


@design
def full_dummies(rng, m, n):
    """Two factors with all their levels: collinear with each other and with the intercept."""
    a, b = max(n // 2, 2), max(n - n // 2, 2)
    return np.hstack([np.eye(a)[rng.integers(0, a, m)], np.eye(b)[rng.integers(0, b, m)]])


@design
def nearly_collinear(rng, m, n):
    X = rng.standard_normal((m, max(n, 2)))
    source = rng.integers(0, 1 + (X.shape[1] - 1) // 2, X.shape[1])
    copies = np.arange(X.shape[1]) > (X.shape[1] - 1) // 2
    X[:, copies] = X[:, source[copies]] + decades(rng, -12, -2) * X[:, copies]
    return X


@design
def repeated(rng, m, n):
    """Few distinct rows, some of them thousands of times, and a column twice."""
    X = rng.standard_normal((max(m // 20, 2), n))[rng.zipf(1.5, m) % max(m // 20, 2)]
    return np.hstack([X, X[:, :1]])


@design
def cauchy(rng, m, n):
    return rng.standard_cauchy((m, n))


@design
def lognormal(rng, m, n):
    return np.exp(rng.uniform(0.5, 4) * rng.standard_normal((m, n)))


@design
def outliers(rng, m, n):
    X = rng.standard_normal((m, n))
    X[rng.integers(0, m, rng.integers(1, 4))] *= decades(rng, 2, 6)
    return X


@design
def pixels(rng, m, n):
    """Bright shapes on black: columns that are 0 in nearly all rows, or in all."""
    centres = rng.uniform(0, n, (m, 1))
    image = 255 * np.exp(-(((np.arange(n) - centres) / rng.uniform(1, n / 2 + 1)) ** 2))
    return np.where(image > 60, image + rng.integers(0, 20, (m, n)), 0).clip(0, 255).round()


@design
def constant_columns(rng, m, n):
    """Constants beside an intercept, zeros, and a column in which one row differs."""
    X = rng.standard_normal((m, n + 2))
    X[:, 0], X[:, 1] = decades(rng, -3, 6), rng.choice([0, 1])
    X[0, 1] += 1
    return X


@design
def polynomial(rng, m, n):
    """Powers of a year or of an age."""
    base = rng.choice([rng.uniform(18, 90, m), rng.integers(1990, 2026, m) / 100, rng.standard_normal(m)])
    return base[:, None] ** np.arange(1, min(n, 7) + 1)


@design
def splines(rng, m, n):
    """Hinges at close knots."""
    base = rng.uniform(0, 1, (m, 1))
    return np.maximum(base - np.linspace(0, 1, n) ** rng.uniform(1, 3), 0)


@design
def counts(rng, m, n):
    return rng.poisson(decades(rng, -2, 3, n), (m, n)).astype(float)


@design
def walks(rng, m, n):
    """Random walks over sorted rows: neighbours are alike, means drift."""
    return rng.standard_normal((m, n)).cumsum(axis=0) + decades(rng, 0, 4)


@design
def interactions(rng, m, n):
    """Main effects, an indicator, and their products: zero for most rows."""
    few = max(n // 3, 1)
    X, on = rng.standard_normal((m, few)) + rng.uniform(0, 10), (rng.random((m, 1)) < 0.1).astype(float)
    return np.hstack([X, on, X * on])


@design
def missing_codes(rng, m, n):
    """−999 or 1e9 where a value is missing."""
    X = rng.standard_normal((m, n))
    return np.where(rng.random((m, n)) < 0.05, rng.choice([-999, 1e9, -1e6]), X)


@design
def wide(rng, m, n):
    m_columns = int(m * rng.uniform(1, 6))
    return rng.standard_normal((m, min(m_columns, 30_000 // m))) + rng.choice([0, 0, decades(rng, 0, 4)])


@design
def sparse_decades(rng, m, n):
    X = rng.standard_normal((m, n)) * (rng.random((m, n)) < rng.uniform(0.02, 0.3))
    return scipy.sparse.csr_array(X * decades(rng, -4, 4, n))


@design
def sparse_levels(rng, m, n):
    parts = [np.eye(width)[rng.zipf(1.5, m) % width] for width in (n // 2 + 1, n // 3 + 1)]
    return scipy.sparse.csr_array(np.hstack(parts))


@design
def sparse_words(rng, m, n):
    """Rows of unit length with columns of very different frequency, wider than tall at times."""
    n = int(n * rng.integers(1, 6))
    X = rng.poisson(1 / np.arange(1, n + 1), (m, n)).astype(float)
    return scipy.sparse.csr_array(X / np.maximum(np.sqrt((X * X).sum(axis=1, keepdims=True)), 1))
