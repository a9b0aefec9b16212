"""Fits on a Dask cluster: of files that workers read, of arrays and frames, and with workers that end."""

import collections
import os
import re
import signal
import threading
import time

import numpy as np
import pandas as pd
import pytest

from logreg_accel import LogisticRegression, firth, scan
from logreg_accel.backends import get_backend
from logreg_accel.backends.passes import LossGradient
from logreg_accel.cluster import dask as cluster_dask
from logreg_accel.cluster import parts, rows
from logreg_accel.cluster.dask import DaskPool
from logreg_accel.losses import loss_of

distributed = pytest.importorskip("distributed")
M, NAMES = 4000, list("abcd")


@pytest.fixture(scope="module")
def client():
    """Two workers in this process."""
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.fixture
def in_processes():
    """A cluster of two workers that are processes, and its client.

    A LocalCluster looks some time after each loss of a worker (15 seconds by default) whether the worker is
    there again, and closes it for good if it is not. On a busy machine it may still be starting then, or
    have been killed once more.
    """
    import dask

    with (
        dask.config.set({"distributed.deploy.lost-worker-timeout": "1h"}),
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield cluster, client


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.standard_normal((M, 4)), columns=NAMES)
    frame["y"] = np.where(frame.a - frame.b + rng.logistic(size=M) > 0.5, "yes", "no")
    return frame.assign(w=rng.random(M))


def test_files_that_workers_read(client, frame, tmp_path):
    for i in range(4):
        frame.iloc[1000 * i : 1000 * (i + 1)].to_parquet(tmp_path / f"{i}.parquet")
    files = {"data": tmp_path / "*.parquet", "target": "y", "drop": ["w"]}
    model = LogisticRegression(solver="newton-subsampled")
    one = model.fit(scan(**files)).coef_
    np.testing.assert_array_equal(model.fit(scan(**files, client=client)).coef_, one)
    assert list(model.feature_names_in_) == NAMES
    with pytest.raises(ValueError, match="0.parquet' has no column 'z'"):
        model.fit(scan(tmp_path / "*.parquet", target="z", client=client))


def test_workers_that_run_other_code_are_named(client, frame, tmp_path, monkeypatch):
    """The version is compared before a question is unpickled, which other code may be unable to do."""
    frame.to_parquet(tmp_path / "0.parquet")
    ours = cluster_dask.code()
    there = lambda: threading.current_thread() is not threading.main_thread()  # noqa: E731
    monkeypatch.setattr(cluster_dask, "code", lambda: "0.1 (1234abcd)" if there() else ours)
    told = (
        rf"the worker \S+ runs logreg_accel 0.1 \(1234abcd\), and the client {re.escape(ours)}; expected the"
    )
    with pytest.raises(parts.ClusterError, match=told):
        LogisticRegression().fit(scan(tmp_path / "0.parquet", target="y", drop=["w"], client=client))


def test_dask_frames_and_arrays(client, frame):
    import dask.array
    import dask.dataframe

    model, X = LogisticRegression(tol=1e-12), frame[NAMES].to_numpy()
    coef = model.fit(frame[NAMES], frame.y, frame.w).coef_
    lazy = dask.dataframe.from_pandas(frame, npartitions=3)
    model.fit(lazy[NAMES], lazy.y, lazy.w)
    np.testing.assert_allclose(model.coef_, coef, rtol=1e-7)
    assert list(model.feature_names_in_) == NAMES and list(model.classes_) == ["no", "yes"]
    there = lazy[NAMES].map_partitions(model.predict_proba, meta=np.empty((0, 2)))  # as USING.md says
    np.testing.assert_array_equal(there.compute(), model.predict_proba(frame[NAMES]))
    rows = dask.array.from_array(X, chunks=(900, 2))  # columns in two pieces
    y = dask.array.from_array((frame.y == "yes").to_numpy(), chunks=1500)
    model.fit(rows, y, dask.array.from_array(frame.w.to_numpy(), chunks=900))
    np.testing.assert_allclose(model.coef_, coef, rtol=1e-7)
    model.fit(rows.persist(), y)
    np.testing.assert_allclose(model.coef_, LogisticRegression(tol=1e-12).fit(X, frame.y).coef_, rtol=1e-7)
    with pytest.raises(TypeError, match="`y` is ndarray beside Dask collections"):
        model.fit(rows, np.zeros(M))
    with pytest.raises(ValueError, match="partition 1' contains NaN at row 100, column 2"):
        X = X.copy()
        X[1000, 2] = np.nan
        model.fit(dask.array.from_array(X, chunks=(900, 4)), y)


@pytest.mark.filterwarnings("error:.*feature names:UserWarning", "error:Dask support:FutureWarning")
def test_predictions_and_statistics_of_collections(client, frame):
    """A frame keeps the names of its columns, so that another order of them is seen."""
    import dask.dataframe

    lazy = dask.dataframe.from_pandas(frame, npartitions=3)
    model = LogisticRegression().fit(lazy[NAMES], lazy.y)
    np.testing.assert_array_equal(model.predict_proba(lazy[NAMES]), model.predict_proba(frame[NAMES]))
    assert model.score(lazy[NAMES], lazy.y) == model.score(frame[NAMES], frame.y)
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(lazy[NAMES[::-1]])
    there, here = firth(lazy[NAMES], lazy.y, lazy.w), firth(frame[NAMES], frame.y, frame.w)
    np.testing.assert_allclose(there.params, here.params, rtol=1e-6)
    assert there.exog_names == here.exog_names


def test_a_client_that_is_closed(client, frame, tmp_path):
    frame.to_parquet(tmp_path / "0.parquet")
    other = distributed.Client(client.cluster)
    other.close()
    with pytest.raises(parts.ClusterError, match="`client` is closed"):
        LogisticRegression().fit(scan(tmp_path / "0.parquet", target="y", drop=["w"], client=other))


def test_labels_of_a_frame_of_files_keep_its_partitions(client, frame, tmp_path):
    """Dask merges files if few columns of many are read: there were fewer partitions of `y` than of `X`."""
    import dask.dataframe

    wide = frame.assign(**{f"x{j}": frame["a"] for j in range(30)})
    for i in range(3):
        wide.iloc[i::3].to_parquet(tmp_path / f"{i}.parquet")
    lazy = dask.dataframe.read_parquet(tmp_path / "*.parquet")
    assert len(lazy["y"].to_delayed()) < lazy.npartitions, "the case is that of files that are merged"
    model = LogisticRegression(tol=1e-12).fit(lazy[NAMES], lazy["y"], lazy["w"])
    expected = LogisticRegression(tol=1e-12).fit(frame[NAMES], frame["y"], frame["w"])
    np.testing.assert_allclose(model.coef_, expected.coef_, rtol=1e-7)


def test_an_evaluation_is_one_task_a_worker(client, frame, tmp_path, monkeypatch):
    """This holds for any number of parts; results are fetched together unless a worker is slow."""
    for i in range(10):
        frame.iloc[400 * i : 400 * (i + 1)].to_parquet(tmp_path / f"{i}.parquet")
    calls = collections.Counter()

    def counting(name):
        call = getattr(DaskPool, name)

        def counted(*arguments, **options):
            calls[name] += 1
            return call(*arguments, **options)

        monkeypatch.setattr(DaskPool, name, counted)

    counting("submit")
    counting("_fetched")
    source = scan(tmp_path / "*.parquet", target="y", drop=["w"], client=client)
    with rows.opened(source) as streamed:
        there = rows.ClusterRows(streamed, get_backend("numpy", 0)[0])
        pass_ = LossGradient(np.zeros((5, 1)), loss_of(2), keep_margins=True)
        first = there.sum(pass_)
        calls.clear()
        again = there.sum(pass_)
        assert calls["submit"] == 2 and 1 <= calls["_fetched"] <= 2
    np.testing.assert_array_equal(again.gradient, first.gradient)


def test_without_a_client(monkeypatch):
    import dask.array

    def none_there():
        raise ValueError("No clients found")

    monkeypatch.setattr(distributed, "get_client", none_there)
    X = dask.array.ones((10, 2))
    with pytest.raises(ValueError, match="there is no Client"):
        LogisticRegression().fit(X, X[:, 0])


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_workers_that_are_killed_or_frozen(in_processes, frame, tmp_path, how, monkeypatch):
    """The first evaluations each lose one worker; frozen ones are given up and wake up later."""
    monkeypatch.setattr(parts, "SILENT", 10.0)
    for i in range(4):
        frame.iloc[1000 * i : 1000 * (i + 1)].to_parquet(tmp_path / f"{i}.parquet")
    files = {"data": tmp_path / "*.parquet", "target": "y", "drop": ["w"]}
    model = LogisticRegression(solver="newton-subsampled", backend="numpy")
    one, ask, hit = model.fit(scan(**files)).coef_, parts.PartsOnWorkers.ask, []
    waited = []
    cluster, client = in_processes

    def asked(self, method, *args, **options):
        if method == "sums" and len(hit) < (3 if how == signal.SIGKILL else 1):
            pids = sorted(nanny.pid for nanny in cluster.workers.values() if nanny.pid)
            if pids:
                hit.append(pids[len(hit) % len(pids)])
                os.kill(hit[-1], how)
        began = time.monotonic()
        yield from ask(self, method, *args, **options)
        waited.append(time.monotonic() - began)

    monkeypatch.setattr(parts.PartsOnWorkers, "ask", asked)
    try:
        np.testing.assert_array_equal(model.fit(scan(**files, client=client)).coef_, one)
    finally:
        for pid in hit:
            if how == signal.SIGSTOP and os.path.exists(f"/proc/{pid}"):
                os.kill(pid, signal.SIGCONT)
    assert hit and max(waited) < 60


@pytest.mark.slow
def test_every_worker_is_killed_at_every_evaluation(in_processes, frame, tmp_path, monkeypatch):
    """One fit for each worker and each of ten evaluations: all have the same bits, and none waits forever."""
    frame = frame.assign(b=frame.a + frame.b / 10)  # columns that are alike take lbfgs many steps
    for i in range(4):
        frame.iloc[1000 * i : 1000 * (i + 1)].to_parquet(tmp_path / f"{i}.parquet")
    files = {"data": tmp_path / "*.parquet", "target": "y", "drop": ["w"]}
    model = LogisticRegression(solver="lbfgs", backend="numpy", tol=1e-11)
    one, ask, asked = model.fit(scan(**files)).coef_, parts.PartsOnWorkers.ask, []
    cluster, client = in_processes

    def fit(at, worker):
        """What a fit gives of which a worker ends while an evaluation is under way."""
        asked.clear()

        def counted(self, method, *args, **options):
            if method == "sums":
                asked.append(method)
                if len(asked) - 1 == at:
                    os.kill(sorted(cluster.workers.items())[worker][1].pid, signal.SIGKILL)
            yield from ask(self, method, *args, **options)

        client.wait_for_workers(2, timeout=180)
        monkeypatch.setattr(parts.PartsOnWorkers, "ask", counted)
        began = time.monotonic()
        coef = model.fit(scan(**files, client=client)).coef_
        assert time.monotonic() - began < 120
        return coef

    np.testing.assert_array_equal(fit(at=-1, worker=None), one)
    assert len(asked) >= 10
    for at in range(10):
        for worker in range(2):
            np.testing.assert_array_equal(fit(at, worker), one)
            assert len(asked) > at
