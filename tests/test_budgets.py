"""`max_seconds` and Ctrl-C inside long work: factorisations, Hessians, models of a step, samples.

A clock that only ticks when it is looked at tells how far apart looks are, whatever the machine.
"""

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse

from conftest import CPU_BACKENDS, block_of, draw, evaluate
from logreg_accel import LogisticRegression, Objective, clock, driver, duality, solvers
from logreg_accel.backends import get_backend, grams, linalg, passes
from logreg_accel.backends.numba import lanes
from logreg_accel.data import as_matrix, centred
from logreg_accel.losses import Logistic
from logreg_accel.solvers import quadratic

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks so small that little data have many."""
    monkeypatch.setattr(linalg, "_WHOLE", 32)
    monkeypatch.setattr(linalg, "_BLOCK", 16)
    monkeypatch.setattr(linalg, "_PANEL", 8)
    monkeypatch.setattr(grams, "_WIDE", 1 << 16)
    monkeypatch.setattr(grams, "_BLOCK_WORK", 1 << 10)
    monkeypatch.setattr(lanes, "_HESSIAN_WORK", 1 << 10)


class Ticks:
    """A clock that goes on by one whenever it is checked."""

    def __init__(self, monkeypatch, interrupt_at=None):
        self.ticks, self.really, self.interrupt_at = 0, clock.check, interrupt_at
        monkeypatch.setattr(clock, "now", lambda: float(self.ticks))
        monkeypatch.setattr(clock, "check", self.check)

    def check(self):
        self.ticks += 1
        if self.ticks == self.interrupt_at:
            raise KeyboardInterrupt
        self.really()


CASES = {
    "newton-cholesky": ((60, 200), {}),
    "row-space": ((150, 400), {}),
    "prox-newton": ((60, 150), {"l1_ratio": 0.5, "C": 30.0}),
    "newton-subsampled": ((4000, 60), {"solver": solvers.newton_subsampled(rows_per_parameter=20)}),
}


def fit(solver, backend="numpy", **options):
    (m, n), given = CASES[solver]
    X, y, _, _ = draw(m, n)
    return LogisticRegression(**{"solver": solver, "backend": backend} | given | options).fit(X, y)


@pytest.mark.parametrize("solver", CASES)
@pytest.mark.parametrize("backend", CPU_BACKENDS)
def test_time_ends_long_work_between_two_blocks(backend, solver, small_blocks, monkeypatch):
    time = Ticks(monkeypatch)
    whole = fit(solver, backend)
    total = time.ticks
    assert total > 40 and whole.status_ == "converged"
    for share in (0.02, 0.1, 0.3, 0.6, 0.9):
        time.ticks = 0
        clf = fit(solver, backend, max_seconds=share * total)
        assert time.ticks <= 1.1 * share * total + 4, "with its closing"
        assert clf.status_ in ("max_seconds", "converged") and np.isfinite(clf.coef_).all()
        assert clf.history_[0].value >= clf.history_[-1].value
    time.ticks = 0
    assert np.array_equal(fit(solver, backend, max_seconds=2 * total).coef_, whole.coef_)


@pytest.mark.parametrize("solver", CASES)
def test_ctrl_c_inside_long_work_keeps_the_best_model(solver, small_blocks, monkeypatch):
    time = Ticks(monkeypatch)
    fit(solver)
    total = time.ticks
    (m, n), given = CASES[solver]
    X, y, _, _ = draw(m, n)
    for at in np.linspace(1, total - 1, 12).astype(int):
        time.ticks, time.interrupt_at = 0, at
        clf = LogisticRegression(**{"solver": solver, "backend": "numpy"} | given)
        with pytest.raises(KeyboardInterrupt):
            clf.fit(X, y)
        if hasattr(clf, "coef_"):
            assert clf.status_ == "interrupted" and clf.score(X, y) >= 0.5
        else:
            assert solver in ("newton-subsampled", "prox-newton"), "no point of all rows yet"


def test_time_that_a_sample_took_up_leaves_its_model(small_blocks, monkeypatch):
    time = Ticks(monkeypatch)
    first_read = fit("newton-subsampled").history_[0].seconds
    time.ticks = 0
    clf = fit("newton-subsampled", max_seconds=first_read - 5)
    assert clf.status_ == "max_seconds" and len(clf.history_) == 1 and 1 <= clf.n_passes_ < 2
    assert clf.history_[0].value < np.log(2) and clf.coef_.any()
    time.ticks = 0
    X, y, _, _ = draw(2500, 12)
    sgd = LogisticRegression(solver="sgd", max_seconds=1e-9, backend="numpy")
    assert np.isfinite(sgd.partial_fit(X, y, classes=[0, 1]).coef_).all()


@pytest.mark.parametrize("kind", [np.asarray, scipy.sparse.csr_array], ids=["dense", "sparse"])
@pytest.mark.parametrize("backend", CPU_BACKENDS)
def test_a_deadline_ends_a_hessian_and_no_read(backend, kind, small_blocks):
    X, y, _, W = draw(2000, 40)
    block = block_of(kind(np.where(abs(X) > 1, X, 0)), y)
    backend, _ = get_backend(backend, 0, n_threads=2)
    with clock.keeping(clock.Deadline(-np.inf)):
        backend.run(passes.LossGradient(W, Logistic()), block)
        backend.run(passes.HessianVector(W, W, Logistic()), block)
        for kind_of_hessian in (passes.Hessian, passes.MeanHessian):
            with pytest.raises(clock.Stop, match="max_seconds"):
                backend.run(kind_of_hessian(W, Logistic()), block)
    backend.run(passes.Hessian(W, Logistic()), block)


@pytest.mark.parametrize("kind", ["dense", "float32", "sparse", "thin", "centred", "centred sparse"])
@pytest.mark.parametrize("backend", CPU_BACKENDS)
def test_a_wide_hessian_in_blocks_is_the_whole_one(backend, kind, monkeypatch):
    X, y, s, W = draw(90, 70, "float32" if kind == "float32" else "float64", weighted=True)
    X = np.where(abs(X) > (2.2 if kind == "thin" else 0.3), X, 0)
    matrix = as_matrix(scipy.sparse.csr_array(X) if kind in ("sparse", "thin", "centred sparse") else X)
    if kind.startswith("centred"):
        matrix = centred(matrix, np.linspace(-1, 2, 70))
    block = block_of(X, y, s)._replace(X=matrix)
    backend, _ = get_backend(backend, 0, n_threads=2)
    backend.kernels = {}
    whole = backend.run(passes.Hessian(W, Logistic()), block)
    monkeypatch.setattr(grams, "_WIDE", 1 << 16)
    monkeypatch.setattr(grams, "_BLOCK_WORK", 1 << 10)
    close = {"rtol": 1e-4, "atol": 1e-3} if kind == "float32" else {"rtol": 1e-11, "atol": 1e-11}
    np.testing.assert_allclose(backend.run(passes.Hessian(W, Logistic()), block), whole, **close)


def test_factors_made_of_blocks_are_those_of_lapack(small_blocks):
    rng = np.random.default_rng(0)
    A = rng.standard_normal((100, 130))
    H, v = A @ A.T, rng.standard_normal((100, 2))
    expected = scipy.linalg.solve(H, v, assume_a="pos")
    np.testing.assert_allclose(linalg.host_cholesky(H.copy())(v), expected, rtol=1e-9)
    np.testing.assert_allclose(linalg.factor(H, 1e-16)(v), expected, rtol=1e-9)
    H[70, 70] = -1
    with pytest.raises(np.linalg.LinAlgError):
        linalg.host_cholesky(H)


@pytest.mark.parametrize("rank", [0, 1, 30, 100])
def test_pivots_are_those_of_lapack(rank, small_blocks):
    B = np.random.default_rng(rank).standard_normal((100, rank)) * np.logspace(0, -2, 100)[:, None]
    L, pivots = linalg.pivoted_cholesky(B @ B.T)
    _, expected, found, _ = scipy.linalg.lapack.dpstrf(B @ B.T, lower=1)
    assert L.shape == (100, max(rank, 1)) and found == rank
    np.testing.assert_array_equal(pivots[:rank], expected[:rank] - 1)
    np.testing.assert_allclose(L @ L.T, B @ B.T, atol=1e-12)


@pytest.mark.parametrize("name", CPU_BACKENDS)
def test_a_model_that_is_left_unfinished_is_left_as_it_was(name):
    H = np.cov(np.random.default_rng(0).standard_normal((30, 100)))
    before = H.copy()
    sweeps = get_backend(name, 0)[0].lasso_sweeps
    arguments = H, np.ones(30), np.zeros(30), np.full(30, 0.1), 1e-7, sweeps
    quadratic.lasso(*arguments)
    with clock.keeping(clock.Deadline(-np.inf)), pytest.raises(clock.Stop):
        quadratic.lasso(*arguments)
    np.testing.assert_array_equal(H, before)


def test_a_bound_of_many_classes_ends_between_two_of_its_steps(monkeypatch):
    """Each step factors a matrix of classes by classes: six of 3,000 took ten times `max_seconds`."""
    X, y = np.random.default_rng(0).standard_normal((90, 2)), np.arange(90) % 5
    objective = Objective.from_arrays(X, y)
    point, time = evaluate(objective, np.linspace(-1, 1, objective.size)), Ticks(monkeypatch)
    assert 0 < duality.plain(objective, point) < np.inf
    assert time.ticks >= 3
    with clock.keeping(clock.Deadline(time.ticks + 1.5)), pytest.raises(clock.Stop):
        duality.plain(objective, point)


def test_a_fit_inside_a_callback_has_its_own_time():
    X, y, _, _ = draw(200, 4)
    inner = []

    def callback(record, w):
        inner.append(LogisticRegression().fit(X, y).status_)

    outer = driver.run(
        solvers.lbfgs(), Objective.from_arrays(X, y), np.zeros(5), max_seconds=1e4, callback=callback
    )
    assert outer.status == "converged" and set(inner) == {"converged"}
