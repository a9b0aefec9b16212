"""Paths of C by other packages, with ever tighter tolerances until they are as accurate as ours.

Each peer is a function (X, y, Cs, l1_ratio, tol) -> weights (n + 1, len(Cs)), the intercept last, which
follows the path by the package's own method. It runs in a process of its own, which is ended if it takes too
long.
"""

import functools
import importlib.util
import multiprocessing
import time
import warnings
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import hstack

TOLS = (1e-4, 1e-6, 1e-8, 1e-10)
_START = 30.0  # seconds for a process to start and to receive X


def by_glum(X, y, Cs, l1_ratio, tol):
    """The path that its GeneralizedLinearRegressorCV follows for every fold."""
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


def by_celer(X, y, Cs, l1_ratio, tol):
    """Its path with Prox-Newton steps; it has no intercept, so a column far from zero gets next to no
    penalty."""
    from celer import celer_path

    order, far = np.argsort(Cs), 1000.0
    column = np.full((X.shape[0], 1), far)
    dense = isinstance(X, np.ndarray)
    wide = np.asfortranarray(np.hstack([X, column])) if dense else hstack([X, column]).tocsc()
    signs, alphas = np.where(y > 0, 1.0, -1.0), 1 / np.asarray(Cs)[order]
    W = celer_path(wide, signs, "logreg", alphas=alphas, tol=tol, use_PN=True, max_iter=200)[1]
    W[-1] *= far
    return W[:, np.argsort(order)]


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


def by_sklearns_cv(X, y, Cs, split, tol):
    """The path that LogisticRegressionCV follows on one split."""
    from sklearn.linear_model import LogisticRegressionCV

    model = LogisticRegressionCV(
        Cs=Cs,
        cv=[split],
        l1_ratios=(0,),
        scoring="neg_log_loss",
        tol=tol,
        max_iter=5000,
        refit=False,
        use_legacy_attributes=False,
    )
    return model.fit(X, y).coefs_paths_[0, 0][:, 0].T


PEERS = {"glum": by_glum, "skglm": by_skglm, "celer": by_celer, "sklearn": by_sklearn}
_ONLY_L1 = {"skglm", "celer"}
_MOST_COLUMNS = {"glum": 10_000}  # its Hessian has the square of that many entries


def of(l1_ratio, columns):
    """The peers that are installed, support the penalty and have memory for that many columns."""
    names = [name for name in PEERS if name not in _ONLY_L1 or l1_ratio == 1]
    names = [name for name in names if columns <= _MOST_COLUMNS.get(name, columns)]
    return [name for name in names if importlib.util.find_spec(name)]


def within(seconds, peer):
    """Seconds and weights of a peer, or the message of its exception; None if it did not end in time."""
    context = multiprocessing.get_context("spawn")  # threads of BLAS and OpenMP do not survive a fork
    here, there = context.Pipe(duplex=False)
    child = context.Process(target=_answer, args=(there, peer), daemon=True)
    child.start()
    there.close()
    try:
        return here.recv() if here.poll(seconds + _START) else None
    except EOFError:
        return "the process ended"
    finally:
        child.kill()
        child.join()


def _answer(connection, peer):
    warnings.simplefilter("ignore")
    try:
        if peer.func is by_skglm:  # its loops are compiled in every process anew
            rows = slice(min(len(peer.args[1]), 200))
            by_skglm(peer.args[0][rows], np.arange(rows.stop) % 2, [1.0], 1.0, 1e-4)
        began = time.perf_counter()
        W = peer()
    except Exception as error:
        connection.send(f"{type(error).__name__}: {error}"[:200])
    else:
        connection.send((time.perf_counter() - began, W))


def value(X, y, w, C, l1_ratio):
    """The objective in float64, divided by the number of rows, some rows at a time."""
    total, step = 0.0, max((1 << 24) // X.shape[1], 1)
    for start in range(0, len(y), step):
        z = X[start : start + step].astype(np.float64) @ w[:-1] + w[-1]
        total += np.logaddexp(0, np.where(y[start : start + step] > 0, -z, z)).sum()
    penalty = (1 - l1_ratio) / 2 * (w[:-1] @ w[:-1]) + l1_ratio * abs(w[:-1]).sum()
    return (total + penalty / C) / len(y)


class Problem(NamedTuple):
    """A path, and the facts that are known about it.

    Attributes
    ----------
    least : list of float
        Proven lower bounds on the objective at each C.
    models : int
        The number of models like these to which seconds are scaled.
    """

    X: Any
    y: np.ndarray
    Cs: list
    l1_ratio: float
    least: list
    models: int


def race(problem, goal, limit):
    """The results of `tightened` for each peer on the path of a problem."""
    names = of(problem.l1_ratio, problem.X.shape[1])
    return {
        name: tightened(functools.partial(PEERS[name], *problem[:4]), problem, goal, limit) for name in names
    }


def tightened(peer, problem, goal, limit):
    """Seconds that a peer takes for all models, and its worst suboptimality, at the first tolerance that
    reaches the goal.

    After `limit` seconds for all tolerances together, the call in progress is cut off; `cut_off` is the time
    that it had taken, scaled like the others.
    """
    spent, found = 0.0, {}
    X, y, Cs, l1_ratio, least, models = problem
    for tol in TOLS:
        answer = within(limit - spent, functools.partial(peer, tol=tol))
        if isinstance(answer, str):
            return found or {"failed": answer}
        if answer is None:
            return found | {"cut_off": (limit - spent) * models / len(Cs), "cut_off_at_tol": tol}
        took, W = answer
        spent += took
        values = [value(X, y, w, C, l1_ratio) for w, C in zip(W.T, Cs, strict=True)]
        found = {
            "tol": tol,
            "seconds_of_all": took * models / len(Cs),
            "worst_suboptimality": float(max((v - lo) / v for v, lo in zip(values, least, strict=True))),
        }
        if found["worst_suboptimality"] <= goal or spent >= limit:
            break
    return found
