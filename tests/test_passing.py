"""Rows that draws want are gathered as a read passes them, which changes what is read and no bit of a fit."""

import numpy as np
import pytest
import scipy.sparse

from conftest import chunked, cpu_or_gpu
from logreg_accel import LogisticRegression
from logreg_accel.backends import passes
from logreg_accel.data import packed
from logreg_accel.losses import loss_of
from logreg_accel.rows import StreamRows, cache, opened, stream
from logreg_accel.rows.passing import Passed
from logreg_accel.solvers import newton_subsampled

M, N = 24_000, 6


@pytest.fixture(autouse=True)
def small_blocks_on_disk(monkeypatch):
    monkeypatch.setattr(packed, "BLOCK", 1 << 15)
    monkeypatch.setattr(cache, "RESIDENT", 0.0)
    monkeypatch.setattr(cache, "TOGETHER", 0.0)


def problem(classes=2, ordered=False, strength=1.0):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((M, N)).astype(np.float32)
    scores = strength * X @ rng.standard_normal((N, classes)) + rng.gumbel(size=(M, classes))
    y = scores.argmax(axis=1)
    order = np.argsort(y, kind="stable") if ordered else slice(None)
    return X[order], y[order]


def fitted(X, y, **options):
    return LogisticRegression(solver=newton_subsampled(100), backend="numba").fit(chunked(X, y, **options))


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("weighted", [False, True])
def test_draws_take_no_read_of_their_own(classes, weighted):
    """The exception is the first draw, before which there is no read; with small blocks it reads nearly all
    pieces."""
    X, y = problem(classes, strength=0.3)  # the first sample carries over: it need not grow
    s = np.random.default_rng(1).uniform(0.5, 2, M) if weighted else None
    model = fitted(X, y, s=s)
    memory = LogisticRegression(solver=newton_subsampled(100), backend="numba").fit(X, y, s)
    assert model.n_passes_ <= memory.n_passes_ + 1
    np.testing.assert_allclose(model.coef_, memory.coef_, atol=1e-4)


@pytest.mark.parametrize("ordered", [False, True])
def test_what_is_gathered_decides_no_bit(ordered, monkeypatch):
    """This holds also where rows are ordered by class, so that some blocks have more mass than expected."""
    X, y = problem(3, ordered)
    model = fitted(X, y)
    for share in (0.002, 0.9):
        monkeypatch.setattr(cache, "RESIDENT", share)
        other = fitted(X, y)
        np.testing.assert_array_equal(other.coef_, model.coef_)
        assert other.n_passes_ == model.n_passes_
    monkeypatch.setattr(StreamRows, "wanted", lambda self, draws: ())
    without = fitted(X, y)
    np.testing.assert_array_equal(without.coef_, model.coef_)
    assert without.n_passes_ > model.n_passes_ + (0.5 if ordered else 1)


@pytest.mark.parametrize("name", ["numpy", "numba"])
@pytest.mark.parametrize("layout", ["dense", "sparse"])
def test_what_is_gathered_are_the_rows_that_are_drawn(name, layout, monkeypatch):
    """A draw reads only codes and weights in addition, and hardly more rows are gathered than drawn."""
    X, y = problem()
    X = scipy.sparse.csr_array(X) if layout == "sparse" else X
    with opened(chunked(X, y)) as streamed:
        rows, loss = StreamRows(streamed, cpu_or_gpu(name)), loss_of(2)
        W = np.random.default_rng(1).standard_normal((N + 1, 1))
        wanted = rows.wanted([(300, 5, False), (400, 7, True), (M, 0, False)])
        assert len(wanted) == 2
        sums = rows.sum(passes.LossGradient(W, loss, keep_margins=True, wanted=wanted))
        mass = rows.sweep(passes.CurvatureMass(sums.margins, loss))
        assert len(rows._passed.numbers) == len(rows._passed.gathered) < 1.6 * (2 * 300 + 400)
        with monkeypatch.context() as patched:
            patched.setattr(streamed.store, "some", None)
            proof, sample = rows.witnesses(400, 7, mass), rows.draw(300, 5, mass)
        assert sample.cost == proof.cost == 0
        assert len(rows._passed.numbers) == 0  # they were let go
        again = rows.draw(300, 5, mass)
        assert again.cost > 0
        one, other = (drawn.sum(passes.LossGradient(W, loss)) for drawn in (sample, again))
        np.testing.assert_array_equal(one.gradient, other.gradient)


@pytest.mark.parametrize("size", [3000, 11_000])
def test_draws_of_many_rows_are_gathered(size):
    """In such draws heavy rows are certain, so that a larger share of the light ones is drawn."""
    X, y = problem()
    X *= np.random.default_rng(2).lognormal(sigma=2, size=(M, 1)).astype(np.float32)
    with opened(chunked(X, y)) as streamed:
        rows, loss = StreamRows(streamed, cpu_or_gpu("numpy")), loss_of(2)
        W = np.random.default_rng(1).standard_normal((N + 1, 1))
        wanted = rows.wanted([(size, 5, False)])
        sums = rows.sum(passes.LossGradient(W, loss, keep_margins=True, wanted=wanted))
        drawn = rows.draw(size, 5, rows.sweep(passes.CurvatureMass(sums.margins, loss)))
        assert drawn.n_rows == size and drawn.cost == 0


@pytest.mark.parametrize("cuts", [[], [3], [1, 4]])
def test_rows_of_which_some_were_gathered(cuts):
    X = np.arange(60.0).reshape(20, 3)
    codes = np.arange(20) % 3
    there = np.array([2, 3, 7, 11, 19])
    parts = [(packed.Matrix(X[rows]), codes[rows]) for rows in np.split(there, cuts)]
    passed = Passed(there, there, parts)

    def some(rows):
        assert not np.isin(rows, there).any()
        return packed.Matrix(X[rows]), codes[rows]

    for rows in ([3], [2, 3, 7, 11, 19], [0, 1], [0, 2, 5, 7, 19], [1, 19]):
        got, own = passed.taken(np.array(rows), some)
        np.testing.assert_array_equal(got.stored, X[rows])
        np.testing.assert_array_equal(own, codes[rows])


def test_rows_without_mass_are_not_gathered():
    """Margins are so large that no row has any curvature, so that rows are drawn evenly and read when
    needed."""
    X, y = problem()
    with opened(chunked(X, y)) as streamed:
        rows, loss = StreamRows(streamed, cpu_or_gpu("numpy")), loss_of(2)
        W = np.full((N + 1, 1), 1e4)
        W[:N] = 0
        wanted = rows.wanted([(300, 5, False)])
        sums = rows.sum(passes.LossGradient(W, loss, keep_margins=True, wanted=wanted))
        drawn = rows.draw(300, 5, rows.sweep(passes.CurvatureMass(sums.margins, loss)))
        assert drawn.n_rows == 300 and drawn.cost > 0
        assert not len(rows._passed.numbers)


def test_vectors_on_disk_too(monkeypatch):
    X, y = problem()
    model = fitted(X, y)
    monkeypatch.setattr(stream, "VECTORS", 0.0)
    np.testing.assert_array_equal(fitted(X, y).coef_, model.coef_)
