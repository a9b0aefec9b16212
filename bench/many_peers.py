"""Paths of C by other packages, made tighter until they are as near to the optimum as ours are proven to be.

Each peer is a function (X, y, Cs, l1_ratio, tol) -> weights (n + 1, len(Cs)), the intercept last, and walks
the path in its own way. celer is not here: its logistic regression has no intercept.
"""

import importlib.util
import time

import numpy as np

TOLS = (1e-4, 1e-6, 1e-8, 1e-10)


def by_glum(X, y, Cs, l1_ratio, tol):
    """What its GeneralizedLinearRegressorCV does for every fold."""
    import glum

    alphas = 1 / (np.asarray(Cs) * len(y))
    order = np.argsort(-alphas)
    model = glum.GeneralizedLinearRegressor(
        family="binomial",
        l1_ratio=l1_ratio,
        alpha_search=True,
        alphas=alphas[order],
        gradient_tol=tol,
        max_iter=10_000,
    )
    model.fit(X.astype(np.float64), y.astype(np.float64))  # float32 fails in its search
    W = np.vstack([np.array(model.coef_path_).T, np.array(model.intercept_path_)[None]])
    return W[:, np.argsort(order)]


def by_skglm(X, y, Cs, l1_ratio, tol):
    """Its working sets, warm-started along the path."""
    from skglm import SparseLogisticRegression

    model = SparseLogisticRegression(tol=tol, max_iter=1000, warm_start=True)
    W = np.empty((X.shape[1] + 1, len(Cs)))
    for i in np.argsort(Cs):
        model.alpha = 1 / (Cs[i] * len(y))
        model.fit(X, y)
        W[:, i] = np.append(model.coef_, model.intercept_)
    return W


def by_sklearn(X, y, Cs, l1_ratio, tol):
    """LogisticRegression, warm-started along the path."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(
        solver="saga" if l1_ratio else "lbfgs", l1_ratio=l1_ratio, tol=tol, max_iter=10_000, warm_start=True
    )
    W = np.empty((X.shape[1] + 1, len(Cs)))
    for i in np.argsort(Cs):
        model.set_params(C=Cs[i]).fit(X, y)
        W[:, i] = np.append(model.coef_, model.intercept_)
    return W


PEERS = {"glum": by_glum, "skglm": by_skglm, "sklearn": by_sklearn}


def of(l1_ratio):
    """The peers that are installed and know the penalty."""
    names = [name for name in PEERS if name != "skglm" or l1_ratio == 1]
    return [name for name in names if importlib.util.find_spec(name)]


def value(X, y, w, C, l1_ratio):
    """The objective in float64, divided by the number of rows, some rows at a time."""
    total, step = 0.0, max((1 << 24) // X.shape[1], 1)
    for start in range(0, len(y), step):
        z = X[start : start + step].astype(np.float64) @ w[:-1] + w[-1]
        total += np.logaddexp(0, np.where(y[start : start + step] > 0, -z, z)).sum()
    penalty = (1 - l1_ratio) / 2 * (w[:-1] @ w[:-1]) + l1_ratio * abs(w[:-1]).sum()
    return (total + penalty / C) / len(y)


def race(X, y, Cs, l1_ratio, least, models, goal, limit):
    """Seconds that each peer takes for so many models like these, and its worst suboptimality.

    Parameters
    ----------
    least : list of float
        Proven lower bounds on the objective at each C.
    models : int
        What the seconds are scaled to.
    limit : float
        Seconds after which a peer's tolerance is made no smaller; a call under way is finished.
    """
    found = {}
    for name in of(l1_ratio):
        spent = 0.0
        for tol in TOLS:
            began = time.perf_counter()
            try:
                W = PEERS[name](X, y, Cs, l1_ratio, tol)
            except Exception as error:
                found[name] = {"failed": f"{type(error).__name__}: {error}"[:200]}
                break
            took = time.perf_counter() - began
            spent += took
            values = [value(X, y, w, C, l1_ratio) for w, C in zip(W.T, Cs, strict=True)]
            worst = max((v - lo) / v for v, lo in zip(values, least, strict=True))
            found[name] = {
                "tol": tol,
                "seconds_of_all": took * models / len(Cs),
                "worst_suboptimality": float(worst),
            }
            if worst <= goal or spent + 2 * took > limit:
                break
    return found
