"""How each contestant is called: the same objective C·Σ loss + penalty, the intercept free.

None of the peers is a dependency, and each is imported at its own fit.
"""

from typing import Any, NamedTuple

import numpy as np

_ENDLESS = 1_000_000  # iterations: the clock ends a run, not this


class Fitted(NamedTuple):
    """What a fit returned: weights (n,) or (K, n), and intercepts.

    Iterations and reads of X are None where they are not told.
    """

    w: Any
    b: float
    iterations: int | None = None
    reads: float | None = None
    note: str = ""


# -- ours ----------------------------------------------------------------------------------------------------


def ours(solver):
    def fit(X, y, C, threads, tol, backend="auto", l1_ratio=0.0):
        from logreg_accel import LogisticRegression

        clf = LogisticRegression(
            C=C,
            l1_ratio=l1_ratio,
            tol=tol,
            solver=solver,
            n_threads=threads,
            backend=backend,
            max_iter=_ENDLESS,
        ).fit(X, y)
        return Fitted(
            clf.coef_,
            clf.intercept_,
            int(clf.n_iter_[0]),
            float(clf.n_passes_),
            f"{clf.solver_}, {clf.status_}",
        )

    return fit


def steps_of_ours(X, y, C, threads, tol, solver="newton-subsampled", at_most=100):
    """List of (reads, w (n,), b): every accepted point, and reads of X up to it, samples counted in."""
    from logreg_accel import LogisticRegression

    points = []

    def keep(record, w):
        points.append((float(record.n_passes), w[:-1], float(w[-1])))
        return len(points) >= at_most

    LogisticRegression(C=C, tol=tol, solver=solver, n_threads=threads, callback=keep).fit(X, y)
    return points


def backend_of(nbytes):
    """The backend that ours takes for X of that size.

    A warm-up on a slice must compile what the whole will run.
    """
    from logreg_accel.backends import NUMBA_FROM_BYTES

    return "numba" if nbytes >= NUMBA_FROM_BYTES else "numpy"


# -- peers ---------------------------------------------------------------------------------------------------


def _of_sklearn(clf, X, y):
    clf.fit(X, y)
    return Fitted(clf.coef_, clf.intercept_, int(np.max(clf.n_iter_)))


def scikit_learn(solver):
    def fit(X, y, C, threads, tol, l1_ratio=0.0):
        from sklearn.linear_model import LogisticRegression

        return _of_sklearn(
            LogisticRegression(
                C=C, l1_ratio=l1_ratio, solver=solver, tol=tol, max_iter=_ENDLESS, random_state=0
            ),
            X,
            y,
        )

    return fit


def scikit_learn_intelex(X, y, C, threads, tol):
    """Its other solvers are scikit-learn's own on a CPU."""
    from sklearnex.linear_model import LogisticRegression

    return _of_sklearn(LogisticRegression(C=C, solver="lbfgs", tol=tol, max_iter=_ENDLESS), X, y)


def liblinear(X, y, C, threads, tol, scaling, l1_ratio=0.0):
    """It penalises b / scaling as a weight: a small scaling misses the optimum, a large one slows it down."""
    from sklearn.linear_model import LogisticRegression

    dual = X.shape[1] > X.shape[0] and not l1_ratio
    return _of_sklearn(
        LogisticRegression(
            C=C,
            l1_ratio=l1_ratio,
            solver="liblinear",
            dual=dual,
            intercept_scaling=scaling,
            tol=tol,
            max_iter=_ENDLESS,
            random_state=0,
        ),
        X,
        y,
    )


def snap_ml(X, y, C, threads, tol, scaling):
    """The dual: its primal form leaves the intercept at 0 (1.17). It penalises (b / scaling)², as liblinear
    does.

    The `intercept_` that it returns is the weight of the constant column, still to be multiplied by
    `scaling`.
    """
    from snapml import LogisticRegression

    clf = LogisticRegression(
        regularizer=1 / C,
        dual=True,
        fit_intercept=True,
        intercept_scaling=scaling,
        n_jobs=threads,
        tol=tol,
        max_iter=_ENDLESS,
        random_state=0,
    )
    clf.fit(X, y.astype(np.float32))
    return Fitted(np.ravel(clf.coef_), float(np.ravel(clf.intercept_)[0]) * scaling, int(clf.n_iter_))


def glum(X, y, C, threads, tol, l1_ratio=0.0):
    """It minimises mean loss + alpha times the penalty; a sparse X goes in by columns, as it stores it."""
    from glum import GeneralizedLinearRegressor

    model = GeneralizedLinearRegressor(
        family="binomial",
        link="logit",
        alpha=1 / (C * len(y)),
        l1_ratio=l1_ratio,
        solver="irls-cd" if l1_ratio else "irls-ls",
        gradient_tol=tol,
        max_iter=1000,
    )
    model.fit(X.tocsc() if hasattr(X, "tocsc") else X, y.astype(X.dtype))
    return Fitted(model.coef_, float(model.intercept_), int(model.n_iter_))


def skglm(X, y, C, threads, tol, l1_ratio=0.0):
    """It minimises mean loss + alpha·‖w‖₁ with a free intercept; it wants a sparse X by columns."""
    from skglm import SparseLogisticRegression

    clf = SparseLogisticRegression(
        alpha=1 / (C * len(y)), tol=tol, max_iter=1000, max_epochs=100_000, fit_intercept=True
    )
    clf.fit(X.tocsc() if hasattr(X, "tocsc") else X, y)
    return Fitted(clf.coef_, clf.intercept_, int(np.max(clf.n_iter_)))


def torch_softmax(X, y, C, threads, tol):
    """As `torch_lbfgs`, for several classes."""
    import torch

    torch.set_num_threads(threads)
    m, n = X.shape
    X, k = torch.from_numpy(X), int(y.max()) + 1
    own = torch.nn.functional.one_hot(torch.from_numpy(y.astype(np.int64)), k).to(X.dtype)
    w = torch.zeros((n + 1) * k, dtype=X.dtype)
    penalty, evaluations = 1 / (C * m), 0

    def closure():
        nonlocal evaluations
        evaluations += 1
        W = w.view(n + 1, k)
        logs = torch.log_softmax(X @ W[:n] + W[n], dim=1)
        residual = (logs.exp() - own) / m
        w.grad = torch.cat([X.T @ residual + penalty * W[:n], residual.sum(dim=0)[None]]).ravel()
        return -(logs * own).sum() / m + 0.5 * penalty * (W[:n] * W[:n]).sum()

    optimiser = torch.optim.LBFGS(
        [w],
        lr=1,
        max_iter=_ENDLESS,
        tolerance_grad=tol,
        tolerance_change=tol**2,
        history_size=10,
        line_search_fn="strong_wolfe",
    )
    optimiser.step(closure)
    W = w.view(n + 1, k).numpy()
    return Fitted(W[:n].T, W[n], optimiser.state[w]["n_iter"], 2.0 * evaluations)


def torch_lbfgs(X, y, C, threads, tol):
    """Two products an evaluation, without autograd, which would be slower."""
    import torch

    torch.set_num_threads(threads)
    if y.max() > 1:
        return torch_softmax(X, y, C, threads, tol)
    m, n = X.shape
    X = torch.from_numpy(X)
    side = torch.from_numpy(1 - 2 * y.astype(np.float64)).to(X.dtype)
    w = torch.zeros(n + 1, dtype=X.dtype)
    penalty, evaluations = 1 / (C * m), 0

    def closure():
        nonlocal evaluations
        evaluations += 1
        z = side * (X @ w[:n] + w[n])
        residual = torch.sigmoid(z).mul_(side)
        w.grad = torch.cat([X.T @ residual / m + penalty * w[:n], residual.mean()[None]])
        return torch.nn.functional.softplus(z).mean() + 0.5 * penalty * (w[:n] @ w[:n])

    optimiser = torch.optim.LBFGS(
        [w],
        lr=1,
        max_iter=_ENDLESS,
        tolerance_grad=tol,
        tolerance_change=tol**2,
        history_size=10,
        line_search_fn="strong_wolfe",
    )
    optimiser.step(closure)
    return Fitted(w[:n].numpy(), float(w[n]), optimiser.state[w]["n_iter"], 2.0 * evaluations)
