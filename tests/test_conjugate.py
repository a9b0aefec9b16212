"""Conjugate gradients whose preconditioner knows the directions of earlier solves."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from logreg_accel import LogisticRegression, solvers
from logreg_accel.solvers import newton
from logreg_accel.solvers.conjugate import Past, conjugate_gradients


def products(H, g, past, renewed=False, forcing=1e-6, scale=1.0):
    """Solve H·d = −g with the diagonal as the preconditioner; return d and the number of products."""
    here, diagonal = SimpleNamespace(w=0 * g, gradient=g), scale * H.diagonal()
    corrected = past.corrected(lambda r: r / diagonal, renewed)
    asked = conjugate_gradients(here, corrected, forcing, 999, note=past.note)
    try:
        question = next(asked)
        while True:
            question = asked.send(H @ question.v)
    except StopIteration as end:
        return end.value[:2]


def system(weights=1.0):
    """AᵀDA for the same A: sixty columns, twelve of whose combinations are much longer than the others."""
    rng = np.random.default_rng(0)
    A = rng.standard_normal((200, 60)) @ np.linalg.qr(rng.standard_normal((60, 60)))[0]
    A = A + 10 * rng.standard_normal((200, 12)) @ rng.standard_normal((12, 60)) / np.sqrt(60)
    return A.T @ (weights * np.ones((200, 1)) * A)


def start(size=60, entries=60_000):
    return solvers.questions.Start(np.broadcast_to(0.0, size), n_features=size, entries=entries, ridge=1.0)


def test_a_solve_helps_the_next_one():
    """Also where the Hessian has changed a little, as between two steps of Newton's method."""
    rng, past = np.random.default_rng(1), Past(start())
    H, nearby = system(), system(rng.uniform(0.9, 1.1, (200, 1)))
    g, other = rng.standard_normal((2, 60))
    first = products(H, g, past)[1]
    d, again = products(nearby, g, past)
    later, alone = products(nearby, other, past)[1], products(nearby, other, Past(start()))[1]
    assert again < 0.7 * first and later < 0.9 * alone, (first, again, later, alone)
    np.testing.assert_allclose(nearby @ d, -g, rtol=0, atol=1e-4 * np.linalg.norm(g))


def test_a_factor_of_the_metric_does_not_matter():
    """As without earlier directions; theirs is the scale of the Hessian, which the metric must take over."""
    H, taken = system(), []
    for scale in (2.0**-20, 1.0, 2.0**20):
        past, (g, other) = Past(start()), np.random.default_rng(1).standard_normal((2, 60))
        products(H, g, past, scale=scale)
        taken.append(products(H, other, past, scale=scale)[1])
    assert len(set(taken)) == 1, taken


def test_no_more_directions_are_kept_than_pay():
    H, rng, few = system(), np.random.default_rng(1), Past(start(entries=60 * 8 * 6))
    for renewed in (False, False, True, False):
        products(H, rng.standard_normal(60), few, renewed)
        few.corrected(lambda r: r, renewed)
        assert sum(solve.shape[1] for solve in few.solves) == few.most == 6
    assert Past(start(entries=60 * 8 * 4)).most == 0
    huge = 1 << 21
    assert Past(start(huge, huge * 100)).most == 0
    assert Past.vectors(huge) == 0


def test_fits_with_several_classes_take_fewer_products():
    rng = np.random.default_rng(0)
    m, n, k = 600, 40, 4
    X = rng.standard_normal((m, n)) @ rng.standard_normal((n, n)) * np.geomspace(1, 0.03, n)
    y = (X @ rng.standard_normal((n, k)) + rng.gumbel(size=(m, k))).argmax(axis=1)

    def fit():
        return LogisticRegression(solver="newton-cg", C=100.0, tol=1e-6).fit(X, y)

    helped = fit()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Past, "note", lambda *_: None)
        alone = fit()
    assert helped.status_ == alone.status_ == "converged"
    assert helped.n_passes_ < 0.9 * alone.n_passes_
    np.testing.assert_allclose(helped.decision_function(X), alone.decision_function(X), rtol=0, atol=0.05)


def test_a_diagonal_of_several_classes_is_made_anew():
    """That of the start does not know which rows are decided; later ones must not mix shifts of classes."""
    rng = np.random.default_rng(0)
    m, n, k = 80, 1100, 3  # more columns than those of which the mean of classes is factored
    X = rng.standard_normal((m, n)) * np.geomspace(1, 0.03, n)
    y = (X @ rng.standard_normal((n, k))).argmax(axis=1)

    def fit():
        return LogisticRegression(solver="newton-cg", C=1000.0, tol=1e-6).fit(X, y)

    anew = fit()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(newton, "_SERVED", math.inf)
        kept = fit()
    assert anew.status_ == kept.status_ == "converged"
    assert anew.n_passes_ < 0.8 * kept.n_passes_, (anew.n_passes_, kept.n_passes_)
    np.testing.assert_allclose(anew.coef_.sum(axis=0), 0, atol=1e-6 * np.abs(anew.coef_).max())


def test_directions_that_rounding_has_spoiled_do_not_end_a_fit():
    """In float32 a step preconditioned by earlier ones pointed nowhere: the fit ended at a "noise floor"."""
    rng = np.random.default_rng(88)
    m, n, classes = int(rng.integers(100, 800)), int(rng.integers(5, 120)), int(rng.choice([2, 3, 5]))
    turned = np.linalg.qr(rng.standard_normal((n, n)))[0] * np.logspace(0, -rng.uniform(0, 5), n)
    X = (rng.standard_normal((m, n)) @ turned * 10 ** rng.uniform(-1, 2)).astype(np.float32)
    margins = X @ rng.standard_normal((n, classes)) * rng.uniform(0.1, 3)
    y = (margins + rng.gumbel(size=(m, classes))).argmax(axis=1)
    model = LogisticRegression(C=np.inf, solver="newton-cg", tol=1e-8, backend="numpy").fit(X, y)
    assert model.status_ == "converged"
