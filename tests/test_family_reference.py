"""The reference of the random family, against 60 decimal digits, closed forms and SciPy; and its judge."""

import itertools
from decimal import Decimal, getcontext
from fractions import Fraction

import numpy as np
import pytest
import scipy.optimize
import scipy.special
from family import exact, losses
from family.designs import DESIGNS
from family.judge import FAULTS, Verdict, judge, verdicts
from family.problems import as_float64, problem
from family.reference import Exact, optimum
from family.separation import infimum
from family.table import line, table

getcontext().prec = 60


def _gap(found):
    return float((found.upper - found.lower) / found.upper)


def _data(m=40, n=4, k=2, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((m, n))
    X[:, 0] = 1e6 + X[:, 0]
    X[:, 1] = X[:, 2] + 1e-8 * X[:, 1]
    y = rng.integers(0, k, m)
    y[:k] = np.arange(k)
    return X, y, rng.uniform(0.1, 3, m)


def test_sums_of_products_have_twice_the_digits():
    rng = np.random.default_rng(0)
    A, B = rng.standard_normal((57, 3)) * 10.0 ** rng.integers(-9, 9, (57, 3)), rng.standard_normal((57, 2))
    high, low = exact.product((A, 0 * A), (B, 0 * B))
    for i in range(3):
        for j in range(2):
            true = sum(Fraction(a) * Fraction(b) for a, b in zip(A[:, i], B[:, j], strict=True))
            size = sum(abs(Fraction(a) * Fraction(b)) for a, b in zip(A[:, i], B[:, j], strict=True))
            assert abs(Fraction(high[i, j]) + Fraction(low[i, j]) - true) < Fraction(1, 2**98) * size


def _decimal(a):
    """A long double as a Decimal, exactly."""
    high, low = exact.pair(a)
    return Decimal(float(high)) + Decimal(float(low))


def _dual_in_decimals(problem, point, s, l2, l1):
    """D at the residuals of a point, of a binary problem without an intercept, in 60 digits.

    Any residuals give a lower bound, so that nothing of the reference has to be right for this to be one.
    """
    X = problem.X[0][:, :-1] * problem.scale  # without an intercept nothing is subtracted
    R = [_decimal(r) for r in problem.loss.residual(point.Z)[:, 0]]
    s = [Decimal(float(v)) for v in s]
    l2, l1 = Decimal(l2), Decimal(l1)
    sums = [sum(Decimal(float(x)) * w * r for x, w, r in zip(column, s, R, strict=True)) for column in X.T]
    shrink = min([Decimal(1)] + [l1 / abs(v) for v in sums if not l2 and abs(v) > l1])
    entropy = Decimal(0)
    for w, r in zip(s, R, strict=True):
        p = abs(shrink * r)
        entropy -= w * (p * p.ln() + (1 - p) * (1 - p).ln())
    beyond = sum(max(abs(shrink * v) - l1, Decimal(0)) ** 2 for v in sums)
    return entropy - (beyond / (2 * l2) if l2 else 0)


@pytest.mark.parametrize("l2, l1", [(1.0, 0.0), (1e-5, 0.0), (0.0, 0.5), (0.0, 1e-4), (0.25, 0.5)])
def test_sixty_digits_prove_the_optimum(l2, l1):
    X, y, s = _data()
    given = Exact(X, losses.Binary(y), s, l2, l1, intercept=False)
    found = optimum(given)
    dual = _dual_in_decimals(given, found.point, s, l2, l1)
    assert _decimal(found.lower) <= dual * (1 + Decimal("1e-17"))
    assert 0 <= (_decimal(found.upper) - dual) / dual + Decimal("1e-17") < Decimal("1e-16")
    assert _gap(found) < 1e-16


@pytest.mark.parametrize("k", [2, 4])
@pytest.mark.parametrize("l2, l1", [(1.0, 0.0), (1e-3, 0.0), (0.3, 0.5), (0.0, 0.5)])
def test_scipy_finds_the_same_optimum(k, l2, l1):
    """BFGS can handle these columns; |w| is split into two parts of at least 0."""
    rng = np.random.default_rng(k)
    X, (_, y, s) = rng.standard_normal((40, 3)), _data(k=k)
    outputs = 1 if k == 2 else k

    def objective(parts):
        up, down = parts.reshape(2, 4, outputs)
        W = up - down
        Z = X @ W[:3] + W[3]
        if k == 2:
            loss, R = np.logaddexp(0, np.where(y == 1, -1, 1) * Z[:, 0]), scipy.special.expit(Z) - y[:, None]
        else:
            loss = scipy.special.logsumexp(Z, axis=1) - Z[np.arange(40), y]
            R = scipy.special.softmax(Z, axis=1) - np.eye(k)[y]
        G = np.vstack([X, np.ones((0, 3))]).T @ (s[:, None] * R) + l2 * W[:3]
        G = np.vstack([G, (s[:, None] * R).sum(axis=0)])
        cost = np.array([l1, l1, l1, 0])[:, None] + 0 * W
        value = s @ loss + l2 / 2 * (W[:3] ** 2).sum() + (cost * (up + down)).sum()
        return value, np.concatenate([(G + cost).ravel(), (cost - G).ravel()])

    bounds = [(0, None)] * (8 * outputs)
    start = np.zeros(8 * outputs)
    options = {"maxiter": 5000, "maxfun": 50000, "ftol": 1e-15, "gtol": 1e-11}
    peer = scipy.optimize.minimize(
        objective, start, jac=True, bounds=bounds, method="L-BFGS-B", options=options
    )
    found = optimum(Exact(X, losses.of(y, k), s, l2, l1, intercept=True))
    assert _gap(found) < 1e-15
    assert float(found.lower) * (1 - 1e-14) <= peer.fun <= float(found.upper) * (1 + 1e-8)


@pytest.mark.parametrize("k", [2, 3])
def test_groups_have_the_entropy_of_their_labels(k):
    """One-hot columns beside an intercept, one level of one class alone: there is no minimum, and the infimum
    is known."""
    rng = np.random.default_rng(k)
    levels, y = np.arange(120) % 6, rng.integers(0, k, 120)
    y[levels == 2] = 1
    X = np.eye(6)[levels] + [0, 0, 0, 1e7, 0, 0]
    counts = np.array([np.bincount(y[levels == level], minlength=k) for level in range(6)])
    entropy = -scipy.special.xlogy(counts, counts / counts.sum(axis=1, keepdims=True)).sum()
    found = infimum(X, y, k, np.ones(120), True)
    assert _gap(found) < 1e-13 and abs(float(found.upper) - entropy) < 1e-12 * entropy


def test_separated_rows_leave_the_rest():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((80, 3))
    y = (X[:, 0] > 0).astype(int)
    assert infimum(X, y, 2, np.ones(80), True).upper == 0
    assert infimum(X, np.digitize(X[:, 0], [-0.5, 0.5]), 3, np.ones(80), True).upper == 0
    X[:, 0] = np.round(X[:, 0])  # at 0 both classes are met
    y = np.where(X[:, 0] == 0, np.arange(80) % 2, X[:, 0] > 0)
    zero = X[:, 0] == 0
    alone = optimum(Exact(X[zero, 1:], losses.Binary(y[zero]), np.ones(zero.sum()), 0.0, 0.0, True))
    found = infimum(X, y, 2, np.ones(80), True)
    assert _gap(found) < 1e-13 and float(found.upper) == pytest.approx(float(alone.upper), rel=1e-13)
    y[np.argmax(X[:, 0])] = 0  # one row on the far side: a minimum after all
    found = infimum(X, y, 2, np.ones(80), True)
    assert _gap(found) < 1e-15 and found.lower > alone.upper


def test_nothing_is_gained_along_the_rounding_of_columns():
    """Three rows are separated along a direction that moves the others only by the rounding of X."""
    rng = np.random.default_rng(1)
    X, y = rng.standard_normal((60, 2)), rng.integers(0, 2, 60)
    X[:, 1] = X[:, 0] / 3
    X[:3, 1] += 1
    y[:3] = 1
    alone = optimum(Exact(X[3:, :1], losses.Binary(y[3:]), np.ones(57), 0.0, 0.0, True))
    found = infimum(X, y, 2, np.ones(60), True)
    assert found.recedes and float(found.upper) == pytest.approx(float(alone.upper), rel=1e-10)


def test_far_along_a_direction_only_differences_of_margins_count():
    """The margins of all classes are huge there, and their rounding hid the loss of rows that are not
    separated."""
    given = problem(56166)
    codes, s = np.unique(given.y, return_inverse=True)[1], np.ones(len(given.y))
    found = infimum(as_float64(given.X), codes, 4, s, given.parameters["fit_intercept"])
    X, high, low = Exact(as_float64(given.X), losses.of(codes, 4), s, 0.0, 0.0, True).X, *found.point.W
    rows = [[Fraction(a) + Fraction(b) for a, b in zip(*row, strict=True)] for row in zip(*X, strict=True)]
    W = [
        [Fraction(a) + Fraction(b) for a, b in zip(*row, strict=True)] for row in zip(high, low, strict=True)
    ]
    value = Decimal(0)
    for row, own in zip(rows, codes, strict=True):
        z = [sum(x * w for x, w in zip(row, column, strict=True)) for column in zip(*W, strict=True)]
        terms = (z_k - z[own] for z_k in z)
        value += sum((Decimal(t.numerator) / Decimal(t.denominator)).exp() for t in terms).ln()
    assert found.recedes and abs(_decimal(found.upper) - value) < Decimal("1e-17") * value
    assert found.lower <= found.upper


@pytest.mark.parametrize("C", [1.0, np.inf])
@pytest.mark.parametrize("k", [2, 3])
def test_the_distance_is_that_of_the_coefficients(C, k):
    """Moved from the optimum by Δ, F rises by ½·Δᵀ·H·Δ, however far from 0 the columns are."""
    X, y, s = _data(m=200, n=3, k=k)
    given = Exact(X, losses.of(y, k), s, 1 / C, 0.0, True)
    found = optimum(given) if C < np.inf else infimum(X, y, k, s, True)
    point = found.point
    step = np.zeros(point.W[0].shape)
    step[0], step[-1] = np.linspace(1, 2, step.shape[1]), 0.5
    rise = [float(given.moved(point, t * step).value - found.upper) for t in (1e-3, 1e-4, 1e-5)]
    assert rise[0] / rise[1] == pytest.approx(100, rel=1e-2) and rise[1] / rise[2] == pytest.approx(
        100, rel=1e-2
    )


def test_problems_are_the_same_on_every_run():
    seeds = range(150)
    first = [problem(seed) for seed in seeds]
    for seed in seeds[::10]:
        again = problem(seed)
        assert again.name == first[seed].name and again.fits == first[seed].fits
        assert as_float64(again.X).tobytes() == as_float64(first[seed].X).tobytes()
        assert again.y.tobytes() == first[seed].y.tobytes()
    met = " ".join(p.name for p in first)
    assert not [name for name in DESIGNS if name not in met]
    for p in first:
        X = as_float64(p.X)
        assert np.isfinite(X).all() and len(X) == len(p.y) and len(np.unique(p.y)) >= 2


def test_the_judge_finds_every_lie():
    from family.judge import _found

    def faults(tol=1e-8, **said):
        honest = {"status": "converged", "claim": 1e-9, "bound": 2e-9, "least": 5e-10, "most": 6e-10}
        verdict = Verdict(0, "", {}, [], **{**honest, **said})
        return {kind for kind, found in _found(verdict, tol) if found}

    assert faults() == set()
    lies = {
        "false converged": {"least": 1.5e-8, "bound": 1e-7},
        "bound too low": {"least": 3e-9},
        "no number": {"claim": np.nan},
        "claim too high": {"claim": 1e-7, "bound": 1.0},
        "claim above bound": {"claim": 4e-9},
        "warnings": {"told": "overflow"},
        "false estimated": {"status": "estimated", "least": 2e-7, "bound": 1.0},
        "false separable": {"status": "separable", "warned": True},
        "not reached": {"status": "noise floor", "least": 2e-6, "bound": 1.0},
        "silent": {"status": "max_iter", "least": 2e-4, "bound": 1.0},
    }
    for kind, said in lies.items():
        assert kind in faults(**said), kind
    assert set(lies) | {"exception"} == set(FAULTS)
    assert faults(status="separable", claim=1.0, bound=1.0, least=1.0, warned=True, recedes=True) == set()
    assert faults(status="max_iter", least=0.9, bound=1.0, warned=True, excused=True) == set()


def test_an_exception_is_a_fault_and_the_table_counts_it():
    p = problem(1)
    p.X = as_float64(p.X)
    p.X[0, 0] = np.nan
    broken = judge(p, None, p.fits[0])
    assert broken.faults == ["exception"] and "NaN" in broken.told
    printed = table([broken, *verdicts(problem(1), ["auto"])])
    header, *rows = printed.splitlines()
    assert header.split()[1:3] == ["false", "converged"] and "exception" in header
    assert [row.split()[:2] for row in rows[:2]] == [["auto", "2"], ["all", "2"]]
    assert "exception" in line(broken)


def test_a_fit_that_hangs_is_ended(monkeypatch):
    monkeypatch.setattr("family.judge.SECONDS", 0.05)
    monkeypatch.setattr("family.judge._fitted", lambda *_, **__: next(i for i in itertools.count() if i < 0))
    p = problem(1)
    assert judge(p, None, p.fits[0]).told.startswith("TimeoutError")
