"""Samples of rows: their weighted sums estimate those of all rows, and nobody is left out by construction."""

import numpy as np
import pytest

from conftest import BACKENDS, CPU_BACKENDS, cpu_or_gpu, draw, evaluate, rows_of
from logreg_accel import LogisticRegression, Objective, driver, solvers
from logreg_accel.backends.drawing import uniforms
from logreg_accel.backends.numpy import NumpyBackend
from logreg_accel.losses import Logistic
from logreg_accel.penalty import Penalty
from logreg_accel.rows import masses, sampling
from logreg_accel.solvers.questions import Draw, Sample, Witnesses


def rng(seed=0):
    return np.random.default_rng(seed)


def labels_of(y, s):
    return masses.Labels(lambda: iter([(y, s)]), NumpyBackend())


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("share", [0.5, 0.01, 0.0005])
def test_both_classes_are_drawn_and_keep_their_weight(share, weighted):
    y = (rng(1).random(20_000) < share).astype(np.uint8)
    y[7] = 1
    s = 10.0 ** rng(2).uniform(-3, 3, len(y)) if weighted else None
    rows, weights = sampling.by_class(labels_of(y, s), 1000, 2, [0], NumpyBackend())
    assert (np.diff(rows) > 0).all() and 500 < len(rows) < 1500 and (weights > 0).all()
    for code in (0, 1):
        whole = (y == code).sum() if s is None else s[y == code].sum()
        assert weights[y[rows] == code].sum() == pytest.approx(whole)
    if not weighted and share <= 0.01:
        assert (y[rows] == 1).sum() == y.sum(), "all of a rare class"


def test_sums_over_samples_are_unbiased():
    values = rng(1).standard_normal((5000, 3)) + 1
    mass = np.abs(rng(2).standard_normal(5000)) ** 3
    sums = []
    for seed in range(400):
        rows, weights = sampling.by_mass(mass, 300, [seed], NumpyBackend())
        sums.append((values[rows] * weights[:, None]).sum(axis=0))
    sums = np.array(sums)
    error = np.abs(sums.mean(axis=0) - values.sum(axis=0))
    assert (error < 4 * sums.std(axis=0) / np.sqrt(len(sums))).all()


def test_heavy_rows_are_certain_and_weightless_ones_are_never_drawn():
    mass = np.ones(1000)
    mass[3], mass[10:500] = 1e9, 0
    for seed in range(20):
        rows, weights = sampling.by_mass(mass, 50, [seed], NumpyBackend())
        assert 3 in rows and weights[list(rows).index(3)] == 1
        assert not ((rows >= 10) & (rows < 500)).any()


@pytest.mark.parametrize("mass", [np.zeros(10), np.full(10, np.inf), np.full(10, 1e-42, dtype=np.float32)])
def test_masses_that_say_nothing_are_drawn_evenly(mass):
    rows, weights = sampling.by_mass(mass, 5, [0], NumpyBackend())
    assert len(rows) == 5 and (weights == weights[0]).all() and weights[0] > 1


@pytest.mark.parametrize("name", BACKENDS)
def test_the_same_rows_however_they_are_cut_and_wherever_they_are(name):
    """Merging the largest priorities of parts, as a stream does, gives the rows of the whole."""
    mass = np.abs(rng(4).standard_normal(5000)).astype(np.float32)
    backend = cpu_or_gpu(name)
    rows, weights = sampling.draw(backend.xp.asarray(mass), 200, [7, 1], backend)
    assert len(rows) == 200 and (np.diff(rows) > 0).all()
    kept = []
    for start in range(0, 5000, 700):
        numbers = np.arange(start, min(start + 700, 5000))
        u = uniforms(numbers, [7, 1])
        priorities = mass[numbers].astype(float) / u
        largest = np.argsort(-priorities)[:201]
        kept += list(zip(priorities[largest], numbers[largest], strict=True))
    kept = sorted(kept, reverse=True)[:201]
    threshold = kept[-1][0]
    np.testing.assert_array_equal(np.sort([row for _, row in kept[:-1]]), rows)
    np.testing.assert_allclose(weights, np.maximum(threshold / mass[rows].astype(float), 1), rtol=1e-6)


def test_hashes_are_even_and_go_by_the_number_alone():
    u = uniforms(np.arange(1 << 18, dtype=np.uint32), [1, 2])
    assert 0 < u.min() and u.max() <= 1 and abs(u.mean() - 0.5) < 5e-3
    counts = np.histogram(u, 64)[0]
    assert ((counts - counts.mean()) ** 2 / counts.mean()).sum() < 130, "chi-squared of 63 degrees of freedom"
    assert abs(np.corrcoef(u[:-1], u[1:])[0, 1]) < 0.01
    numbers = np.array([3, 77, 200_000, 2**33 + 3], dtype=np.int64)
    far = uniforms(numbers, [1, 2])
    np.testing.assert_array_equal(far[:3], u[numbers[:3]])
    assert far[3] != far[0] and (uniforms(numbers, [1, 3]) != far).all()


@pytest.mark.parametrize("start", [0, 5, 2**31, 2**32 - 4000, 2**32 - 100, 2**33])
@pytest.mark.parametrize("name", BACKENDS)
def test_rows_of_a_block_pass_by_their_numbers_among_all_rows(name, start):
    """A range says the numbers in the fewest words, and compiled loops count up from its first one."""
    mass, bar = np.random.default_rng(0).random(4000, dtype=np.float32), 0.5 / 400
    mass[::7] = 0
    numbers = np.arange(start, start + 4000, dtype=np.int64)
    expected = NumpyBackend().rows_above(mass, 1e-3, 1e-5, bar, (1, 2), numbers)
    backend = cpu_or_gpu(name)
    got = backend.rows_above(backend.xp.asarray(mass), 1e-3, 1e-5, bar, (1, 2), range(start, start + 4000))
    assert 0 < len(expected[0]) < 3500
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("heavy", [1.0, 1e3, 1e9, 1e30])
def test_a_few_rows_may_own_nearly_all_mass(heavy):
    mass = np.ones(3000)
    mass[:7] = heavy
    sums = []
    for seed in range(300):
        rows, weights = sampling.by_mass(mass, 40, [seed], NumpyBackend())
        assert len(rows) == 40 and (heavy == 1 or set(range(7)) <= set(rows))
        sums.append(weights.sum())
    assert np.mean(sums) == pytest.approx(3000, abs=4 * np.std(sums) / np.sqrt(300) + 1e-6)


@pytest.mark.parametrize("m, n_classes, size", [(1, 2, 10), (2, 2, 1), (50, 7, 20), (1000, 100, 30)])
def test_every_class_is_drawn_however_small_the_sample(m, n_classes, size):
    y = rng(3).integers(0, n_classes, m).astype(np.uint8)
    for s in (None, 10.0 ** rng(4).uniform(-12, 0, m)):
        rows, weights = sampling.by_class(labels_of(y, s), size, n_classes, [0], NumpyBackend())
        assert (np.diff(rows) > 0).all() and set(y[rows]) == set(y)
        whole = np.bincount(y, s, n_classes)
        np.testing.assert_allclose(np.bincount(y[rows], weights, n_classes), whole)


def objective_of(X, y, s, name, blocks=1):
    return Objective(rows_of(X, y, s, name, blocks), Logistic(), Penalty(1e-3))


def sample_of(objective, *of):
    return objective.answer(Draw(Sample(*of)))


@pytest.mark.parametrize("blocks", [1, 3])
@pytest.mark.parametrize("name", BACKENDS)
def test_sampled_hessians_estimate_the_full_one(name, blocks):
    X, y, s, _ = draw(6000, 4, weighted=True)
    X *= [1, 100, 0.01, 1]
    objective = objective_of(X, y, s, name, blocks)
    here = evaluate(objective, np.array([0.5, 0.01, 1.0, -0.5, 0.3]))
    H = objective.hessian(here.w)
    scale = 1 / np.sqrt(np.diagonal(H))
    for drawn in ((), (here,), (here, True)):
        asked = Draw(Sample(1500, 1, *drawn))
        foreseen = objective.reads(asked)
        sample = objective.answer(asked)
        assert 0 < sample.rows.cost - 2 * (drawn[1:] == (True,)) < 0.75
        assert sample.rows.cost < 1.3 * foreseen
        sampled = sample.hessian(here.w)
        assert np.abs((sampled - H) * scale * scale[:, None]).max() < 0.2
        assert evaluate(sample, here.w).value == pytest.approx(here.value, rel=0.1)
    assert sample_of(objective, 3000, 1) is None, "half of the rows is no sample"
    assert sample_of(objective, 2900, 1, here, True).rows.cost < 0.5, "with norms there are no candidates"
    assert sample_of(objective, 6000, 1, here, True) is None


@pytest.mark.parametrize("name", BACKENDS)
def test_samples_depend_on_the_seed_alone(name):
    X, y, s, _ = draw(3000, 3, weighted=True)
    objective = objective_of(X, y, s, name)
    here = evaluate(objective, np.array([0.5, 0.1, 1.0, -0.5]))
    for at in (None, here):
        first, again, other = (
            evaluate(sample_of(objective, 300, seed, at), here.w).value for seed in (1, 1, 2)
        )
        assert first == again != other


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("blocks", [1, 3])
@pytest.mark.parametrize("name", BACKENDS)
def test_rows_of_a_sample_serve_for_a_proof_with_weights_of_their_own(name, blocks, weighted):
    X, y, s, _ = draw(3000, 3, "float32", weighted=weighted)
    objective = objective_of(X, y, s, name, blocks)
    here = evaluate(objective, np.array([0.5, 0.1, 1.0, -0.5]))
    sample = sample_of(objective, 300, 1, here)
    some = objective.answer(Draw(Witnesses(200, 0, here, sample)))
    assert some.rows.n_rows == 200 and some.rows.cost == 0 and some.rows.dtype == np.float64
    assert (np.diff(sample.rows.numbers) > 0).all()

    chosen = sample.rows.numbers[np.arange(200) * sample.rows.n_rows // 200]
    own = None if s is None else s[chosen].astype(np.float32)
    alone = Objective(rows_of(X[chosen].astype(np.float64), y[chosen], own), Logistic(), Penalty(0.0))
    share = alone.weight_sum / objective.weight_sum
    wanted = alone.hessian(here.w) * share + np.diag(1e-3 * np.array([1, 1, 1, 0]))
    np.testing.assert_allclose(some.hessian(here.w), wanted, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("tol", [1e-5, 1e-6])
def test_a_proof_takes_the_rows_of_the_last_sample(tol, monkeypatch):
    """No other rows are drawn if the sample has as many as the proof moves, and a loose `tol` draws no
    more."""
    X, _, _, W = draw(60_000, 12, "float32")
    y = (X @ W[:-1, 0] + rng(1).logistic(size=len(X)) > 0).astype(np.uint8)
    objective = Objective.from_arrays(X, y, backend="numpy")
    drawn, answer = [], objective.answer

    def listen(question):
        if isinstance(question, Draw):
            drawn.append(question.what)
        return answer(question)

    monkeypatch.setattr(objective, "answer", listen)
    solver = solvers.newton_subsampled(rows_per_parameter=200)
    found = driver.run(solver, objective, np.zeros(objective.size), tol=tol)
    proofs = [what for what in drawn if isinstance(what, Witnesses)]
    assert found.status == "converged"
    assert [what.among is not None for what in proofs] == [True]
    least = LogisticRegression(solver="newton-cholesky", backend="numpy", tol=0)
    least = least.fit(X.astype(np.float64), y).history_[-1].value
    assert (found.value - least) / least <= found.bound <= tol


@pytest.mark.parametrize("backend", CPU_BACKENDS)
def test_rows_of_a_proof_are_converted_once(backend):
    """A conversion in every pass would take as long as the pass, and all rows in float64 twice their
    memory."""
    X, y, s, _ = draw(400, 5, weighted=True)
    objective = Objective.from_arrays(X.astype(np.float32), y, s, backend=backend)
    w = rng().standard_normal(objective.size)
    proof = objective.answer(Draw(Witnesses(60, 0, evaluate(objective, w))))
    (block,) = proof.rows.blocks()
    assert block.X.astype(np.dtype(np.float64)) is block.X
    chosen = proof.rows.numbers
    exact = Objective.from_arrays(X[chosen].astype(np.float32).astype(np.float64), y[chosen], s[chosen])
    here, there = (evaluate(rows, w) for rows in (proof, exact))
    scale = s.sum() / s[chosen].sum()
    own, others = (rows.penalty.gradient(rows.at.penalised(w)) for rows in (proof, exact))
    weights_are_float32 = {"rtol": 1e-6, "atol": 1e-7}
    np.testing.assert_allclose((here.gradient - own) * scale, there.gradient - others, **weights_are_float32)
    everything = objective.answer(Draw(Witnesses(np.inf, 0)))
    assert all(block.X.stored.dtype == np.float32 for block in everything.rows.blocks())
