"""What the interfaces take: blocks that are read anew, sums from elsewhere, several models in one read."""

import pickle

import numpy as np
import pytest
from scipy.sparse import csr_array

from conftest import BACKENDS, CPU_BACKENDS, block_of, cpu_or_gpu, draw, rows_of
from logreg_accel import Objective, driver, solvers
from logreg_accel.backends import passes
from logreg_accel.backends.passes import Model, RowVector, joined
from logreg_accel.backends.side_by_side import beside, parted
from logreg_accel.data import Block, Matrix
from logreg_accel.losses import Logistic, Multinomial
from logreg_accel.penalty import Penalty
from logreg_accel.rows import MemoryRows, Rows
from logreg_accel.solvers import questions as ask


class ReadAnew(Rows):
    """Rows whose blocks a function makes on every sum: nothing stays in memory."""

    def __init__(self, read, backend):
        blocks = list(read())
        m, n = sum(block.X.shape[0] for block in blocks), blocks[0].X.shape[1]
        super().__init__(backend, m, n, np.dtype(np.float64), float(m))
        self.read, self.times = read, 0

    def blocks(self):
        self.times += 1
        for block in self.read():
            yield self.backend.upload(block)


class Elsewhere(Rows):
    """Rows in several places: a pass travels there, sums come back and are added in a fixed order."""

    def __init__(self, places):
        first = places[0]
        n_rows, weight_sum = (
            sum(getattr(rows, name) for rows in places) for name in ("n_rows", "weight_sum")
        )
        super().__init__(first.backend, n_rows, first.n_features, first.dtype, weight_sum)
        self.places = places

    def sum(self, pass_):
        travelled = (
            pass_
            if any(getattr(pass_, name) for name in pass_.vectors)
            else pickle.loads(pickle.dumps(pass_))
        )
        return joined(
            pass_, [rows.sum(travelled.for_block(i)) for i, rows in enumerate(self.places)], RowVector
        )

    def sweep(self, pass_):
        return joined(
            pass_, [rows.sweep(pass_.for_block(i)) for i, rows in enumerate(self.places)], RowVector
        )


def fit(objective, solver):
    return driver.run(solver(), objective, np.zeros(objective.size), tol=1e-10)


SOLVERS = [solvers.lbfgs, solvers.newton_cg, solvers.newton_cholesky, solvers.newton_subsampled, solvers.gd]
# the stand-in for CuPy takes seconds a fit: one solver that asks for all there is
EACH = [(name, solver) for name in CPU_BACKENDS for solver in SOLVERS]
EACH += [
    pytest.param(*name.values, solvers.newton_subsampled, marks=name.marks, id=name.id)
    for name in BACKENDS[2:]
]


@pytest.mark.parametrize("name, solver", EACH)
def test_blocks_need_not_stay_in_memory(name, solver):
    X, y, _, _ = draw(300, 4)

    def read():
        for start in range(0, 300, 70):
            yield block_of(X[start : start + 70].copy(), y[start : start + 70].copy())

    rows = ReadAnew(read, cpu_or_gpu(name))
    found = fit(Objective(rows, Logistic(), Penalty(0.1)), solver)
    in_memory = fit(Objective(MemoryRows(list(read()), cpu_or_gpu(name)), Logistic(), Penalty(0.1)), solver)
    assert found.status == in_memory.status == "converged" and rows.times >= found.n_passes
    if solver is solvers.gd:  # which ends where a proof is at hand: sooner in memory
        np.testing.assert_allclose(found.w, in_memory.w, atol=1e-3)
    else:
        np.testing.assert_array_equal(found.w, in_memory.w)
    assert found.bound <= 1e-8, "sums prove it as they solve it"


@pytest.mark.parametrize("name, solver", EACH)
def test_sums_may_come_from_elsewhere(name, solver):
    X, y, s, _ = draw(300, 4, weighted=True)
    places = [rows_of(X[:110], y[:110], s[:110], name), rows_of(X[110:], y[110:], s[110:], name, blocks=2)]
    found = fit(Objective(Elsewhere(places), Logistic(), Penalty(0.1)), solver)
    whole = fit(Objective(rows_of(X, y, s, name), Logistic(), Penalty(0.1)), solver)
    assert found.status == "converged"
    np.testing.assert_allclose(found.w, whole.w, rtol=1e-4, atol=1e-5)


def test_row_vectors_stay_with_their_rows():
    X, y, _, W = draw(100, 3)
    rows = rows_of(X, y, blocks=3)
    margins = rows.sum(passes.Margins(W))
    assert isinstance(margins, RowVector) and len(margins.parts) == 3
    np.testing.assert_allclose(rows.to_host(margins), X @ W[:-1] + W[-1])
    assert rows.sweep(passes.MarginChange(margins, margins, Logistic()))[:3] == (0, 0, 0)
    assert rows.reads(passes.Margins) == 1 and rows.reads(passes.MarginChange) == 0


@pytest.mark.parametrize("name", BACKENDS)
def test_shifts_of_all_classes_are_no_change(name):
    """The share of a class falls by at most the difference of two margins' changes, times itself."""
    rng, loss = np.random.default_rng(0), Multinomial(4)
    X, _, _, _ = draw(300, 3)
    rows = rows_of(X, (np.arange(300) % 4).astype(np.uint8), name=name, blocks=2)
    W, V = rng.standard_normal((2, 4, 4))
    z0, z1, z2 = (rows.sum(passes.Margins(U)) for U in (W, W + rng.standard_normal((4, 1)), V))
    shifted, changed = (rows.sweep(passes.MarginChange(z0, z, loss)) for z in (z1, z2))
    assert abs(np.array(shifted[:3])).max() <= 1e-13
    assert changed.largest == pytest.approx(np.ptp(rows.to_host(z2) - rows.to_host(z0), axis=1).max())


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("loss", [Logistic(), Multinomial(3)], ids=["two classes", "three"])
def test_what_losses_lie_above_their_tangents_is_summed_row_by_row(name, loss):
    """Terms of 1e7 in every margin cause errors of 1e-9 in losses, and the required sum has errors of
    1e-12."""
    X, _, s, _ = draw(200, 3, weighted=True)
    y = (np.arange(200) % max(loss.n_outputs, 2)).astype(np.uint8)
    X = np.c_[1e7 + X, np.full(200, 1e7)]
    rows, k, rng = rows_of(X, y, s, name, blocks=2), loss.n_outputs, np.random.default_rng(0)
    W = np.zeros((5, k))
    W[:4] = rng.standard_normal((1, k)) * np.array([[1], [0.5], [0.2], [-1.7]])
    ends = W, W + np.r_[1e-4 * rng.standard_normal((3, k)), np.zeros((2, k))] * [[1], [1], [1], [0], [0]]
    ends[1][3] -= (ends[1] - W)[:3].sum(axis=0)
    start, end = (rows.sum(passes.Margins(W)) for W in ends)
    z0, z1 = (rows.to_host(z).astype(np.longdouble) for z in (start, end))
    (value, _), (tangent, slope) = (loss.value_residual(z, y) for z in (z0, z1))
    exact = (s[:, None] * (value - tangent)).sum() - (s[:, None] * slope * (z0 - z1)).sum()
    got = rows.sweep(passes.AboveTangent(start, end, loss))
    assert got.shape == (1,) and exact > 0
    np.testing.assert_allclose(got[0], float(exact), rtol=1e-6, atol=1e-14 * s.sum())


def two_models(name, loss, k):
    """Rows with two targets and two splits, and for each of two models its own rows, codes and weights."""
    X, _, s, _ = draw(400, 5, weighted=True)
    rng = np.random.default_rng(1)
    codes = rng.integers(0, max(k, 2), (400, 2)).astype(np.uint8)
    trains = rng.random((400, 9)) < 0.7
    block = Block(Matrix(X), codes, s, np.packbits(trains, axis=1, bitorder="little"))
    rows = MemoryRows([block], cpu_or_gpu(name), n_classes=max(k, 2))
    models = [Model(target=0, split=8), Model(target=1, split=2)]
    alone = []
    for model in models:
        kept = trains[:, model.split]
        alone.append(rows_of(X[kept], codes[kept, model.target], s[kept], name, n_classes=max(k, 2)))
    return rows, models, alone


@pytest.mark.parametrize("loss, k", [(Logistic(), 1), (Multinomial(3), 3)], ids=["logistic", "softmax"])
@pytest.mark.parametrize("name", BACKENDS)
def test_two_models_of_different_targets_and_penalties_share_a_read(name, loss, k):
    rows, models, alone = two_models(name, loss, k)
    penalties = [Penalty(0.3), Penalty(0.01)]
    together = [Objective(rows, loss, p, model=m) for p, m in zip(penalties, models, strict=True)]
    apart = [Objective(r, loss, p) for r, p in zip(alone, penalties, strict=True)]
    rng = np.random.default_rng(2)
    w, v = rng.standard_normal((2, 2, together[0].size))

    asked = [ask.Evaluate(w[i], diagonal=True) for i in range(2)]
    one_read = rows.sum(beside([o.to_pass(q) for o, q in zip(together, asked, strict=True)]))
    answers = [o.from_sums(q, s) for o, q, s in zip(together, asked, parted(one_read, 2), strict=True)]
    for answer, objective, question in zip(answers, apart, asked, strict=True):
        expected = objective.answer(question)
        assert answer.value == pytest.approx(expected.value, rel=1e-12)
        np.testing.assert_allclose(answer.gradient, expected.gradient, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(answer.diagonal, expected.diagonal, rtol=1e-9)

    asked = [ask.HessianVector(w[i], v[i]) for i in range(2)]
    one_read = rows.sum(beside([o.to_pass(q) for o, q in zip(together, asked, strict=True)]))
    for i, sums in enumerate(parted(one_read, 2)):
        answer = together[i].from_sums(asked[i], sums)
        np.testing.assert_allclose(answer, apart[i].answer(asked[i]), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("loss, k", [(Logistic(), 1), (Multinomial(3), 3)], ids=["logistic", "softmax"])
def test_a_model_of_its_own_target_and_split_is_fitted_alone(loss, k):
    rows, models, alone = two_models("numpy", loss, k)
    for model, own in zip(models, alone, strict=True):
        found = fit(Objective(rows, loss, Penalty(0.05), model=model), solvers.newton_cholesky)
        expected = fit(Objective(own, loss, Penalty(0.05)), solvers.newton_cholesky)
        np.testing.assert_allclose(found.w, expected.w, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("kind, most", [("dense", 24), ("sparse", 1)])
@pytest.mark.parametrize("name", CPU_BACKENDS)
def test_sums_of_repeated_rows_keep_their_digits(name, kind, most):
    """Where rows repeat, roundings of a sum have one sign, so that float32 errors would grow with the
    rows."""
    m, rng = 20_000, np.random.default_rng(0)
    X = np.column_stack([np.eye(7)[rng.integers(0, 7, m)], np.ones(m)]).astype(np.float32)
    y = np.sort(rng.random(m) < 0.1)
    objective = Objective.from_arrays(csr_array(X) if kind == "sparse" else X, y, C=np.inf, backend=name)
    w = np.float32(rng.standard_normal(9) / 2).astype(np.float64)
    value, gradient = objective.value_and_gradient(w)
    exact = Objective.from_arrays(X.astype(np.float64), y, C=np.inf).value_and_gradient(w)[1]
    roundings = np.finfo(np.float32).eps * np.sqrt(value) * np.sqrt(np.append(X.mean(axis=0), 1))
    assert (abs(gradient - exact) <= most * roundings).all(), abs(gradient - exact) / roundings


@pytest.mark.parametrize("name", CPU_BACKENDS)
def test_all_rows_of_a_small_sparse_matrix_are_converted_once(name, monkeypatch):
    """Their sums are those of float64, and X itself does not change."""
    rng = np.random.default_rng(0)
    X, y = csr_array(rng.random((300, 9)) < 0.3, dtype=np.float32), rng.random(300) < 0.5
    X.data[:] = rng.random(len(X.data)) * 1e6
    rows, W = rows_of(X, y.astype(np.uint8), name=name), rng.standard_normal((10, 1)) * 1e-6
    exact = rows_of(X.astype(np.float64), y.astype(np.uint8), name=name).sum(
        passes.LossGradient(W, Logistic())
    )
    alike = rows.witnesses(np.inf, 0)
    monkeypatch.setattr("logreg_accel.data.compressed.CompressedRows._with_data", None)  # converting needs it
    found = alike.sum(passes.LossGradient(W, Logistic()))
    np.testing.assert_allclose(found.value, exact.value, rtol=1e-14)
    np.testing.assert_allclose(found.gradient, exact.gradient, rtol=1e-13)
    assert next(rows.blocks()).X.dtype == np.float32 and rows.dtype == np.float32
