"""newton-subsampled on data that breaks solvers.

It always finds the optimum or says a true word about it, in a handful of reads.
"""

import warnings
from types import SimpleNamespace

import numpy as np
import pytest

from conftest import BACKENDS, FLOATS
from logreg_accel import LogisticRegression, Objective, driver, solvers
from logreg_accel.solvers.from_sample import near_the_optimum
from logreg_accel.solvers.questions import Accept, Curvature, Draw, Evaluate, HessianVector, Sample

PROOF = 4.0
"""Reads of a proof that all rows give: a loose bound is made tighter at the end."""

M, N = 12_000, 8


def labels(rng, z):
    return (rng.random(len(z)) < 1 / (1 + np.exp(-np.clip(z, -500, 500)))).astype(np.uint8)


def families():
    """name -> X, y, sample_weight; all tall."""
    rng = np.random.default_rng(0)
    X, w = rng.standard_normal((M, N)), rng.standard_normal(N) * 0.5
    y = labels(rng, X @ w)
    levels = np.hstack([np.eye(30)[rng.zipf(1.5, M) % 30] for _ in range(2)])
    once = np.zeros((M, 5))
    once[np.arange(5) * 37, np.arange(5)] = 1
    heavy = rng.standard_t(2.1, (M, N)) * np.logspace(-3, 3, N)
    counts = np.floor(np.exp(rng.standard_normal((M, N)) * 2))
    order = np.argsort(y, kind="stable")
    return {
        "plain": (X, y, None),
        "rare positives": (X, labels(rng, X @ w / 2 - 6.5), None),
        "intercept at -9": (X + 30, labels(rng, X @ w - 3), None),
        "one-hot": (levels, labels(rng, levels @ rng.standard_normal(60) - 1), None),
        "levels that occur once": (np.hstack([X, once]), y, None),
        "twelve decades": (X * np.logspace(-6, 6, N), y, None),
        "heavy tails": (
            heavy,
            labels(rng, heavy @ (0.3 * rng.standard_normal(N) / np.logspace(-3, 3, N))),
            None,
        ),
        "lognormal counts": (counts, labels(rng, counts @ (0.02 * rng.standard_normal(N)) - 1), None),
        "duplicated and constant columns": (
            np.hstack([X, X[:, :2], np.ones((M, 1)), np.zeros((M, 1))]),
            y,
            None,
        ),
        "nearly separable": (X, labels(rng, 20 * X @ w), None),
        "sorted by class": (X[order], y[order], None),
        "weights over six decades": (X, y, 10.0 ** rng.uniform(-3, 3, M)),
        "labels at random": (X, (rng.random(M) < 0.5).astype(np.uint8), None),
    }


FAMILIES = families()
STRENGTHS = [1e-6, 1.0, 1e6, np.inf]


@pytest.fixture(scope="module", params=FAMILIES)
def family(request):
    """A family's name, X, y and s."""
    X, y, s = FAMILIES[request.param]
    return request.param, X, y, s


def run(solver, objective, **options):
    with np.errstate(all="ignore"):
        return driver.run(solver, objective, np.zeros(objective.size), **options)


@pytest.mark.parametrize("C", STRENGTHS)
@pytest.mark.parametrize("dtype", FLOATS)
def test_the_optimum_and_an_honest_estimate(family, dtype, C):
    name, X, y, s = family
    objective = Objective.from_arrays(X.astype(dtype), y, s, C=C, backend="numba")
    exact = run(solvers.newton_cholesky(), objective, tol=1e-13, max_iter=100)
    steady = run(solvers.lbfgs(), objective, tol=1e-8, max_passes=400)
    found = run(solvers.newton_subsampled(), objective, tol=1e-8, max_passes=200)
    least = min(exact.value, steady.value, found.value)
    true = (found.value - least) / least
    floor = 10 * np.finfo(dtype).eps
    assert found.status in ("converged", "noise floor")
    assert true <= (1e-7 if dtype == "float64" else 1e-6), (
        "within a factor 10 of tol, or of the arithmetic's rounding"
    )
    if name == "levels that occur once" and np.isinf(C):
        return  # these weights have no finite optimum, so there is no truth to compare with
    assert found.suboptimality >= true / 10 - floor
    assert found.bound >= true - floor, "a bound is never below the truth"
    assert found.n_passes <= 2 * max(steady.n_passes, 2)
    if name not in ("nearly separable", "levels that occur once"):
        assert found.n_passes <= 14


@pytest.mark.parametrize("C", [1.0, 1e6, np.inf])
@pytest.mark.parametrize("dtype", FLOATS)
def test_separable_data(dtype, C):
    X, y, _ = FAMILIES["plain"]
    y = (X @ np.arange(1, N + 1) > 0).astype(np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        clf = LogisticRegression(C=C, solver="newton-subsampled").fit(X.astype(dtype), y)
    assert np.isfinite(clf.coef_).all() and clf.score(X, y) > 0.99
    assert clf.status_ == ("separable" if np.isinf(C) else "converged") or (
        dtype == "float32" and clf.status_ == "noise floor"
    )


@pytest.mark.parametrize("name", BACKENDS)
def test_every_backend_takes_the_same_path(name):
    X, y, s = FAMILIES["weights over six decades"]
    X, y, s = X[:3000, :4], y[:3000], s[:3000]
    found = LogisticRegression(solver="newton-subsampled", backend=name, tol=1e-10).fit(X, y, s)
    exact = LogisticRegression(solver="newton-cholesky", backend="numpy", tol=1e-12).fit(X, y, s)
    assert found.status_ == "converged" and 2 < found.n_passes_ < 10 and found.n_passes_ % 1 > 0, (
        "samples count their share"
    )
    np.testing.assert_allclose(found.coef_, exact.coef_, rtol=1e-4, atol=1e-6)


def test_the_same_bits_for_a_seed_at_any_number_of_threads():
    X, y, _ = FAMILIES["plain"]
    fits = [
        LogisticRegression(
            solver="newton-subsampled", backend="numba", n_threads=n, random_state=r, tol=1e-4
        ).fit(X, y)
        for n, r in [(1, 0), (2, 0), (2, 1)]
    ]
    assert fits[0].coef_.tobytes() == fits[1].coef_.tobytes() != fits[2].coef_.tobytes()


def test_a_looser_tol_costs_no_more():
    for X, y, s in FAMILIES.values():
        passes = [
            LogisticRegression(solver="newton-subsampled", tol=tol).fit(X, y, s).n_passes_
            for tol in (1e-2, 1e-4, 1e-6, 1e-8, 1e-10)
        ]
        assert passes[0] <= 2 * passes[-1] + PROOF, passes


def test_a_warm_start_at_the_optimum_needs_no_sample_start():
    X, y, _ = FAMILIES["plain"]
    clf = LogisticRegression(solver="newton-subsampled", warm_start=True).fit(X, y)
    first = clf.n_passes_
    assert clf.fit(X, y).n_passes_ < 2 < first


def test_budgets_hold_with_samples():
    X, y, _ = FAMILIES["plain"]
    objective = Objective.from_arrays(X, y)
    for most in (1.0, 2.5, 3.0):
        assert run(solvers.newton_subsampled(), objective, tol=1e-12, max_passes=most).n_passes <= max(
            most, 1.5
        )


def test_rows_of_a_sample_follow_the_shape():
    assert solvers.newton_subsampled.for_shape(1_000_000, 100).rows_per_parameter == 198
    assert solvers.newton_subsampled.for_shape(100_000, 100).rows_per_parameter == 50
    assert solvers.newton_subsampled.for_shape(200_000, 1000).rows_per_parameter == 12
    with pytest.raises(ValueError, match="`rows_per_parameter` is 0"):
        solvers.newton_subsampled(rows_per_parameter=0)
    with pytest.raises(ValueError, match="`exact` is 1"):
        solvers.newton_subsampled(exact=1)


def test_of_few_columns_steps_take_the_hessian_of_all_rows(family):
    """Drawing rows would take longer; after the first sample, only proofs draw others."""
    assert solvers.newton_subsampled.for_shape(M, N).exact
    assert not solvers.newton_subsampled.for_shape(M, 100).exact
    assert not solvers.newton_subsampled.for_shape(M, N, n_outputs=3).exact
    _, X, y, s = family
    objective, asked = Objective.from_arrays(X, y, s, backend="numba"), []
    found = run(listening(solvers.newton_subsampled(exact=True), asked), objective, tol=1e-6)
    least = run(solvers.newton_cholesky(), objective, tol=1e-13, max_iter=100).value
    assert found.status == "converged" and found.bound >= (found.value - least) / least - 1e-13
    whole = [question for question in asked if isinstance(question, Curvature) and question.on is None]
    assert whole and not any(
        isinstance(question.what, Sample) and question.what.at for question in draws(asked)
    )
    assert found.n_passes <= run(solvers.newton_cholesky(), objective, tol=1e-6).n_passes + 1


@pytest.mark.parametrize(
    "solver",
    [solvers.newton_cholesky(), solvers.newton_cg(), solvers.lbfgs(), solvers.prox_newton()],
    ids=lambda solver: type(solver).__name__,
)
def test_the_other_solvers_estimates_are_honest_too(family, solver):
    """Where a status is "converged" the fit is within `tol`, the bound is never below the truth, and a looser
    tol costs no more."""
    name, X, y, s = family
    for C in (1.0, 1e6):
        objective = Objective.from_arrays(X, y, s, C=C, backend="numba")
        tight = (solvers.newton_cholesky(), solvers.newton_subsampled())
        least = min(run(other, objective, tol=1e-13, max_iter=100).value for other in tight)
        passes = []
        for tol in (1e-4, 1e-6, 1e-8):
            found = run(solver, objective, tol=tol, max_passes=400)
            true = (found.value - least) / least
            passes.append(found.n_passes)
            assert found.bound >= true - 1e-13
            if found.status == "converged":
                assert true <= 10 * tol and found.suboptimality >= true / 10 - 1e-13, (
                    C,
                    tol,
                    true,
                    found.suboptimality,
                )
        assert passes[0] <= 2 * passes[-1] + PROOF, passes


def listening(settings, asked):
    """A solver whose questions are kept."""

    def solve(start):
        generator, answer = settings(start), None
        while True:
            try:
                question = generator.send(answer)
            except StopIteration as end:
                return end.value
            asked.append(question)
            answer = yield question

    return solve


def test_a_solved_sample_is_not_looked_at_once_more():
    """The last step on a sample takes only its evaluation, since Newton's steps square the decrement."""
    X, y, _ = FAMILIES["plain"]
    objective, asked = Objective.from_arrays(X, y, backend="numpy"), []
    assert run(listening(solvers.newton_subsampled(), asked), objective, tol=1e-6).status == "converged"
    sample = asked[0].what
    assert isinstance(sample, Sample) and sample.at is None
    near = asked[: next(i for i, question in enumerate(asked) if i and not getattr(question, "on", 1))]
    assert isinstance(near[-1], Evaluate) and near[-1].on is not None
    assert sum(isinstance(question, Curvature) for question in near) >= 2


def draws(asked):
    return [question for question in asked if isinstance(question, Draw)]


@pytest.mark.parametrize("C", [1e-6, 1.0])
def test_no_metric_is_made_for_a_point_that_will_do(family, C):
    _, X, y, s = family
    objective, asked = Objective.from_arrays(X, y, s, C=C, backend="numba"), []
    found = run(listening(solvers.newton_subsampled(rows_per_parameter=2), asked), objective, tol=1e-6)
    assert found.status == "converged"
    assert [type(question) for question in asked[-2:]] in ([Evaluate, Accept], [Curvature, Accept])
    assert found.n_iter == 0 or isinstance(asked[-2], Evaluate)


def test_a_badly_conditioned_sample_is_solved_by_factors():
    """Conjugate gradients took hundreds of products where four Hessians suffice."""
    rng = np.random.default_rng(0)
    mixed, _ = np.linalg.qr(rng.standard_normal((250, 250)))
    X = rng.standard_normal((60_000, 250)) * np.logspace(0, -2, 250) @ mixed
    y = labels(rng, X @ (mixed.T @ rng.standard_normal(250)))
    objective, asked = Objective.from_arrays(X, y, C=1e6, backend="numba"), []
    found = run(listening(solvers.newton_subsampled(rows_per_parameter=20), asked), objective, tol=1e-6)
    assert found.status == "converged"
    assert sum(isinstance(question, HessianVector) for question in asked) <= 3 * 250 // 16


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("seed", [2, 4, 7])
def test_levels_that_a_sample_does_not_have(seed):
    """Rare levels of one class, without a penalty: steps far too long along them were shortened one by one,
    after which the fit stopped at a noise floor or took hundreds of reads."""
    rng, m = np.random.default_rng(seed), 8000
    columns, z = [], np.zeros(m)
    for _ in range(6):
        k = int(rng.integers(3, 16))
        share = 1 / np.arange(1, k + 1) ** 3.0
        level = rng.choice(k, m, p=share / share.sum())
        columns.append(np.eye(k)[level])
        z += rng.standard_normal(k)[level]
    X = np.hstack(columns)
    X, y = X[:, X.any(axis=0)], (z + rng.logistic(size=m) > 1).astype(int)
    model = LogisticRegression(C=np.inf, solver="newton-subsampled").fit(X, y)
    assert model.status_ == "separable" and model.suboptimality_bound_ < 1e-6 and model.n_passes_ < 150


def test_a_point_that_was_evaluated_is_not_evaluated_again():
    """The optimum of a sample is far from that of all rows, and a sample of four times the size has all
    rows."""
    there = SimpleNamespace(w=np.ones(2), value=1.0)

    def solve(sample, w):
        yield from ()
        return there

    questions = near_the_optimum(SimpleNamespace(w=np.zeros(2), seed=0), 10, solve)
    assert next(questions).what.size == 10
    assert (questions.send("a sample")).w is there.w
    all_rows = SimpleNamespace(w=there.w, value=2.0)
    assert questions.send(all_rows).what.size == 40
    with pytest.raises(StopIteration) as end:
        questions.send(None)
    assert end.value.value == (all_rows, 40)
