"""The recipes of logreg_accel/README.md, run as they stand there."""

import re
import sys
import types
import warnings
from pathlib import Path

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse

import logreg_accel
from conftest import BACKENDS, block_of, cpu_or_gpu, draw, evaluate, rows_of
from logreg_accel import LogisticRegression, Objective, driver, solvers
from logreg_accel.backends import BACKENDS as TABLE
from logreg_accel.backends import passes
from logreg_accel.cli import main
from logreg_accel.losses import Logistic
from logreg_accel.penalty import Penalty
from logreg_accel.rows import MemoryRows

ROOMS = Path(logreg_accel.__file__).parent / "README.md"


def recipe(title, **scope):
    """The names that the code of a recipe defines."""
    text = ROOMS.read_text(encoding="utf-8")
    section = text[text.index(f"**{title}**") :]
    code = re.search(r"```python\n(.*?)```", section, re.S).group(1)
    assert len([line for line in code.splitlines() if line.strip() and not line.startswith("#")]) <= 22
    exec(compile(code, f"README.md: {title}", "exec"), scope)  # noqa: S102
    return scope


@pytest.fixture
def steepest(monkeypatch):
    monkeypatch.setattr(solvers, "SOLVERS", dict(solvers.SOLVERS))
    return recipe("A solver", SOLVERS=solvers.SOLVERS)["steepest"]


def test_a_solver_is_a_file_and_a_line(steepest):
    X, y, s, _ = draw(300, 4, weighted=True)
    expected = LogisticRegression(tol=1e-12).fit(X, y, s)
    for solver in ("steepest", steepest()):
        fitted = LogisticRegression(solver=solver, tol=1e-10).fit(X, y, s)
        assert fitted.status_ == "converged" and fitted.solver_ == "steepest"
        np.testing.assert_allclose(fitted.coef_, expected.coef_, rtol=1e-3, atol=1e-4)
    with pytest.raises(ValueError, match="'steepest'"):
        LogisticRegression(solver="steepests").fit(X, y)
    with pytest.raises(ValueError, match="'steepest', which cannot handle an L1 penalty"):
        LogisticRegression(solver="steepest", l1_ratio=0.5).fit(X, y)


def test_the_command_line_lists_what_the_table_lists(steepest, capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    told = "".join(capsys.readouterr().out.split())  # argparse breaks lines at hyphens
    assert all(name in told for name in solvers.SOLVERS) and "steepest" in told


@pytest.fixture(scope="module")
def hinge():
    return recipe("A loss")["SmoothedHinge"]()


def test_the_smoothed_hinge_is_what_it_says(hinge):
    z = np.linspace(-3, 3, 601)[:, None]
    for code in (0, 1):
        y = np.full(len(z), code, dtype=np.uint8)
        signed = z if code else -z
        exact = np.where(signed <= -1, -signed, np.where(signed < 1, 0.25 * (1 - signed) ** 2, 0))
        value, residual = hinge.value_residual(z, y)
        np.testing.assert_allclose(value, exact, atol=1e-15)
        h = 1e-6
        slope = (hinge.value_residual(z + h, y)[0] - hinge.value_residual(z - h, y)[0]) / (2 * h)
        np.testing.assert_allclose(residual, slope, atol=1e-6)


@pytest.mark.parametrize("layout", [np.ascontiguousarray, scipy.sparse.csr_array])
@pytest.mark.parametrize("name", BACKENDS)
def test_a_loss_is_a_class_and_the_same_on_every_backend(name, layout, hinge):
    """Also on the Numba backend, whose compiled loops know the logistic and the softmax loss alone."""
    X, y, s, W = draw(2000, 6, weighted=True)
    V = np.random.default_rng(3).standard_normal(W.shape)
    reference, backend = cpu_or_gpu("numpy"), cpu_or_gpu(name)
    block, plain = backend.upload(block_of(rows_matrix(layout(X)), y, s)), block_of(X, y, s)
    for asked in (
        passes.HessianVector(W, V, hinge),
        passes.Diagonal(W, hinge),
        passes.Hessian(W, hinge),
        passes.MeanHessian(W, hinge),
    ):
        got, expected = (b.to_host(b.run(asked, blk)) for b, blk in ((backend, block), (reference, plain)))
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-9)
    asked = passes.LossGradient(W, hinge, keep_margins=True, diagonal=True)
    got, expected = backend.run(asked, block), reference.run(asked, plain)
    exact, _ = hinge.value_residual(X @ W[:-1] + W[-1], y)
    assert expected.value[0] == pytest.approx((s[:, None] * exact).sum(), rel=1e-12)
    for one, other in zip(
        (got.value, got.gradient, got.diagonal), (expected[0], expected[1], expected[3]), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)
    along = passes.Line(got.margins, backend.run(passes.Margins(W + V), block), 0.3, hinge)
    there = reference.run(passes.LossGradient(W + 0.3 * V, hinge), plain)
    slope, _ = backend.run(along, block)
    assert slope == pytest.approx(float((there.gradient * V).sum()), rel=1e-9)


def rows_matrix(stored):
    from logreg_accel.data import as_matrix

    return as_matrix(stored)


@pytest.mark.parametrize(
    "solver", ["lbfgs", "newton-cg", "newton-cholesky", "newton-subsampled", "row-space"]
)
def test_solvers_minimise_a_third_loss(solver, hinge):
    X, y, _, _ = draw(400, 5)
    objective = Objective(rows_of(X, y), hinge, Penalty(0.05))
    found = driver.run(solvers.SOLVERS[solver](), objective, np.zeros(6), tol=1e-10)
    least = scipy.optimize.minimize(objective.value_and_gradient, np.zeros(6), jac=True, tol=1e-12)
    assert found.value == pytest.approx(least.fun, rel=1e-8)


def test_a_backend_is_a_subclass_and_a_line(monkeypatch):
    monkeypatch.setitem(TABLE, "careful", None)
    made = recipe("A backend", BACKENDS=TABLE)
    module = types.ModuleType("logreg_accel.backends.careful")
    module.CarefulBackend = made["CarefulBackend"]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    X, y, s, _ = draw(5000, 4, weighted=True)
    fitted = LogisticRegression(backend="careful").fit(X, y, s)
    assert fitted.backend_ == "careful" and logreg_accel.backends()["careful"] is None
    np.testing.assert_allclose(fitted.coef_, LogisticRegression().fit(X, y, s).coef_, rtol=1e-6)
    with pytest.raises(ValueError, match="'careful'"):
        LogisticRegression(backend="careless").fit(X, y)


def test_a_source_of_rows_is_a_class(tmp_path):
    X, y, _, _ = draw(500, 4)
    for i, part in enumerate(np.array_split(np.arange(500), 3)):
        np.savez(tmp_path / f"{i}.npz", X=X[part], y=y[part])
    rows = recipe("A source of rows")["ShardRows"](tmp_path.glob("*.npz"), cpu_or_gpu("numpy"))
    objective, whole = (
        Objective(r, Logistic(), Penalty(0.01)) for r in (rows, MemoryRows([block_of(X, y)], rows.backend))
    )
    w = np.arange(5) / 5
    assert evaluate(objective, w).value == pytest.approx(evaluate(whole, w).value, rel=1e-13)
    np.testing.assert_allclose(objective.margins(w), whole.margins(w))
    for solver in (solvers.newton_cg(), solvers.newton_cholesky(), solvers.newton_subsampled()):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = driver.run(solver, objective, np.zeros(5), tol=1e-10)
        assert found.status == "converged" and found.n_passes <= 40
    X[400, 2] = np.nan
    np.savez(tmp_path / "2.npz", X=X[334:], y=y[334:])
    with pytest.raises(ValueError, match="contains NaN: first at row 400, column 2"):
        objective.value_and_gradient(w)


def test_separation_is_judged_by_the_loss_itself(hinge):
    """A row on the wrong side may cost less than log 2: the threshold is the loss of a margin of zero."""
    X = np.array([[-2.0], [-1.0], [1.0], [2.0], [-1.2]])
    y = np.array([0, 0, 1, 1, 1], dtype=np.uint8)
    objective = Objective(rows_of(X, y), hinge, Penalty())
    found = driver.run(solvers.newton_cholesky(), objective, np.zeros(2), tol=1e-8, max_iter=30)
    assert found.status != "separable"
    objective = Objective(rows_of(X[:4], y[:4]), hinge, Penalty())
    assert driver.run(solvers.lbfgs(), objective, np.zeros(2), tol=0, max_iter=50).status == "separable"
