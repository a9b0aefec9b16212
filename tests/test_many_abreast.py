"""Models that are fitted at the same time, each by a thread: with the same bits, and stopped together."""

import threading

import numpy as np
import pytest
import scipy.sparse

from logreg_accel import LogisticRegressionCV, fit_many

CS = [0.1, 1.0, 10.0]


def texts(m=400, n=600, targets=5):
    rng = np.random.default_rng(0)
    X = scipy.sparse.random_array((m, n), density=0.05, format="csr", rng=rng)
    X = X.multiply(1 / np.sqrt(X.multiply(X).sum(axis=1))[:, None]).tocsr()
    return X, (X @ rng.standard_normal((n, targets)) > 0).astype(int)


@pytest.mark.parametrize("l1_ratio", [0.0, 1.0])
def test_the_same_bits_as_one_after_the_other(l1_ratio):
    X, Y = texts()
    settings = {"Cs": CS, "cv": 5, "l1_ratios": [l1_ratio], "refit": False, "backend": "numba", "tol": 1e-8}
    one, *others = (
        LogisticRegressionCV(n_threads=n_threads, **settings).fit(X, Y[:, 0]) for n_threads in (1, 2, 3)
    )
    for other in others:
        for name in ("coefs_paths_", "scores_", "n_passes_", "suboptimality_"):
            np.testing.assert_array_equal(getattr(other, name), getattr(one, name), err_msg=name)


def test_several_threads_fit_models():
    X, Y = texts()
    of_thread = set()

    def callback(progress):
        of_thread.add(threading.get_ident())

    fit_many(X, Y[:, :4], C=CS, backend="numba", n_threads=2, callback=callback)
    assert len(of_thread) > 1


@pytest.mark.parametrize("n_threads", [1, 2])
def test_a_callback_ends_all_of_them(n_threads):
    X, Y = texts()
    told = []

    def callback(progress):
        told.append(progress.n_done)
        return len(told) == 6

    models = fit_many(X, Y, C=CS, backend="numba", n_threads=n_threads, callback=callback)
    flat = np.ravel(models)
    statuses = [model.status_ for model in flat]
    assert told == sorted(told) and statuses.count("converged") >= 6
    assert set(statuses) <= {"converged", "callback"} and statuses.count("callback") >= 7


@pytest.mark.parametrize("n_threads", [1, 2])
def test_an_exception_ends_all_of_them(n_threads):
    X, Y = texts()
    told = []

    def callback(progress):
        told.append(progress.n_done)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_many(X, Y, C=CS, backend="numba", n_threads=n_threads, callback=callback)
    assert len(told) <= n_threads
