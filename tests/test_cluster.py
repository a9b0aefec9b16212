"""Fits on workers: the bits of one machine, whoever dies, hangs, forgets or comes late."""

import os
import random
import signal
import time

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from sklearn.exceptions import ConvergenceWarning
from workers import Here

from logreg_accel import LogisticRegression, TableEncoder, scan
from logreg_accel.backends.numpy import NumpyBackend
from logreg_accel.backends.passes import CurvatureMass, Margins
from logreg_accel.cluster import parts, rows
from logreg_accel.cluster.parts import ClusterError
from logreg_accel.cluster.processes import Processes
from logreg_accel.data import packed
from logreg_accel.losses import loss_of
from logreg_accel.rows import StreamRows, cache, opened, stream

ROWS = (900, 0, 1700, 300, 1200)
"""Of each shard: the second one is empty."""


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(packed, "BLOCK", 1 << 14)


def shards(folder, kind="float64"):
    """Files of the shards, and their rows together."""
    rng, every = np.random.default_rng(5), []
    w = rng.standard_normal(6)
    for i, m in enumerate(ROWS):
        X = rng.standard_normal((m, 6))
        y = (X @ w + rng.standard_normal(m) > 0.5).astype(int)
        if kind == "float32":
            X = X.astype(np.float32)
        if kind == "far":
            X = X + 1e6 * np.arange(6)
        frame = pd.DataFrame(X, columns=list("abcdef")).assign(y=y)
        if kind == "classes":
            frame["y"] = np.array(["low", "mid", "top"])[y + (X[:, 0] > 0.3)]
        if kind == "weights":
            frame["w"] = rng.random(m)
        frame.to_parquet(folder / f"part-{i}.parquet")
        every.append(frame)
    return pd.concat(every)


SETTINGS = {
    "float64": {},
    "float32": {},
    "far": {},
    "classes": {"class_weight": {"low": 2.0, "top": 0.5}},
    "weights": {"class_weight": "balanced", "C": 0.1},
    "l1": {"l1_ratio": 1.0, "C": 0.01},
    "no penalty": {"C": np.inf},
    "newton-cg": {"solver": "newton-cg"},
}


def source(folder, **options):
    weight = "w" if "w" in pd.read_parquet(folder / "part-0.parquet") else None
    return scan(folder / "part-*.parquet", target="y", weight=weight, **options)


def known(model):
    return model.coef_.tobytes(), model.intercept_.tobytes(), model.suboptimality_bound_


@pytest.mark.parametrize("kind", SETTINGS)
def test_the_same_bits_on_any_number_of_workers(tmp_path, kind):
    frame = shards(tmp_path, kind)
    model = LogisticRegression(tol=1e-12 if kind != "float32" else 1e-9, **SETTINGS[kind])
    few = known(model.fit(source(tmp_path, client=Here(1))))
    coef = model.coef_
    assert known(model.fit(source(tmp_path, client=Here(3)))) == few
    assert known(model.fit(source(tmp_path))) == few or kind == "weights"  # whose total is added in parts
    weights = frame["w"] if kind == "weights" else None
    model.set_params(solver=str(model.solver_))  # rows in memory may have another, of the first order
    X = frame[list("abcdef")]
    model.fit(X.astype(np.float32) if kind == "float32" else X, frame.y, weights)
    np.testing.assert_allclose(coef, model.coef_, rtol=0, atol=1e-7 * abs(coef).max())


def test_sparse_shards_and_one_without_the_last_columns(tmp_path):
    rng = np.random.default_rng(0)
    X = scipy.sparse.random_array((600, 9), density=0.4, rng=rng, format="csr")
    y = (X @ np.arange(9) + rng.standard_normal(600) > 6).astype(int)
    for i in range(3):
        some = slice(200 * i, 200 * (i + 1))
        scipy.sparse.save_npz(tmp_path / f"{i}.npz", X[some])
        archive = dict(np.load(tmp_path / f"{i}.npz"))
        np.savez(tmp_path / f"{i}.npz", **archive, y=y[some])
    model = LogisticRegression(tol=1e-12)
    fits = [known(model.fit(scan(tmp_path / "*.npz", client=client))) for client in (None, Here(2), Here(7))]
    assert fits[0] == fits[1] == fits[2]
    in_memory = LogisticRegression(tol=1e-12, solver=str(model.solver_)).fit(X, y)
    np.testing.assert_allclose(model.coef_, in_memory.coef_, rtol=1e-7)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_tables_are_encoded_on_workers(tmp_path, kind):
    """The encoding was learned from all files; an empty file and a rare level are among them."""
    rng = np.random.default_rng(0)
    for i, m in enumerate(ROWS):
        frame = pd.DataFrame({"size": rng.standard_normal(m), "town": rng.choice(["Bern", "Rom"], m)})
        frame["label"] = np.where(frame["size"] + rng.standard_normal(m) > 0.3, "yes", "no")
        frame.loc[frame.index[: m // 9], "town"] = "Oslo" if i == 4 else "Wien"
        frame.loc[frame.index[3:9], "size"] = np.nan
        frame = frame[["label", "size", "town"]] if i % 2 else frame
        write = frame.to_parquet if kind == "parquet" else frame.to_csv
        write(tmp_path / f"part-{i}.{kind}", index=False)
    files = {"data": tmp_path / f"part-*.{kind}", "target": "label"}
    model = LogisticRegression(solver="newton-subsampled")
    one = known(model.fit(scan(**files, encoder=TableEncoder())))
    names = model.feature_names_in_.tolist()
    assert "town=Oslo" in names
    pool = Here(3, lambda call: "dies" if call % 5 == 4 else None)
    assert known(model.fit(scan(**files, encoder=TableEncoder(), client=pool))) == one
    assert model.feature_names_in_.tolist() == names and list(model.classes_) == ["no", "yes"]


@pytest.mark.parametrize("fate", ["dies", "dies for good", "forgets", "hangs", "joins", "any"])
def test_whatever_happens_to_workers_the_bits_are_the_same(tmp_path, fate, monkeypatch):
    monkeypatch.setattr(cache, "RESIDENT", 0.0)
    monkeypatch.setattr(cache, "TOGETHER", 0.0)
    monkeypatch.setattr(stream, "VECTORS", 0.0)
    shards(tmp_path, "classes")
    model = LogisticRegression(class_weight="balanced", solver="newton-subsampled")
    expected = known(model.fit(source(tmp_path, client=Here(1))))
    for seed in range(2):
        draws = random.Random(seed)
        fates = [fate] if fate != "any" else ["dies", "dies for good", "forgets", "hangs", "joins"]
        pool = Here(
            3, lambda call, draws=draws, fates=fates: draws.choice(fates) if draws.random() < 0.2 else None
        )
        assert known(model.fit(source(tmp_path, client=pool))) == expected
        assert pool.calls > 30


def test_every_single_call_may_be_lost(tmp_path):
    shards(tmp_path)
    model, pool = LogisticRegression(solver="newton-subsampled"), Here(2)
    expected = known(model.fit(source(tmp_path, client=pool)))
    for lost in range(1, pool.calls + 1, 7):
        pool = Here(2, lambda call, lost=lost: "dies" if call == lost else None)
        assert known(model.fit(source(tmp_path, client=pool))) == expected


def test_a_fit_goes_on_from_its_checkpoint_on_other_workers(tmp_path):
    shards(tmp_path)
    model, log = LogisticRegression(), tmp_path / "log"
    expected = known(model.fit(source(tmp_path, client=Here(2))))
    for most in (1, 2, 3):
        with pytest.warns(ConvergenceWarning):
            model.set_params(max_passes=most).fit(source(tmp_path, client=Here(most)), checkpoint=log)
    model.set_params(max_passes=None)
    assert known(model.fit(source(tmp_path, client=Here(3)), checkpoint=log)) == expected


def test_what_is_wrong_is_told_with_file_and_row(tmp_path):
    frame = shards(tmp_path)
    last = tmp_path / "part-4.parquet"
    good = pd.read_parquet(last)
    model = LogisticRegression()
    for bad, message in (
        (good.assign(y=np.where(good.index == 7, 2, good.y)), r"part-4.parquet' has the label 2 in row 7"),
        (good.drop(columns="c"), r"part-4.parquet' has other columns .* lacks 'c'"),
        (good.assign(b=good.b.where(good.index != 9)), r"part-4.parquet' .* 'b', row 9"),
        (good.assign(a=good.a.astype(np.float32)), r"part-4.parquet' has float in column 'a'"),
    ):
        bad.to_parquet(last)
        with pytest.raises(ValueError, match=message):
            model.fit(source(tmp_path, client=Here(2)))
    good.to_parquet(last)
    assert len(frame) == sum(ROWS)


def test_a_file_that_changes_under_a_fit_is_noticed(tmp_path):
    shards(tmp_path)

    def happens(call):
        if call == 12:
            frame = pd.read_parquet(tmp_path / "part-2.parquet")
            frame.assign(a=frame.a + 1).to_parquet(tmp_path / "part-2.parquet")
        return "dies" if call in (12, 13, 14) else None

    with pytest.raises(ValueError, match="part-2.parquet' has changed since the first read"):
        LogisticRegression().fit(source(tmp_path, client=Here(2, happens)))


def test_parts_that_end_every_worker_and_a_cluster_without_any(tmp_path, monkeypatch):
    shards(tmp_path)
    with pytest.raises(ClusterError, match="workers ended 7 times while they had .*part-"):
        LogisticRegression().fit(source(tmp_path, client=Here(2, lambda call: "dies" if call > 8 else None)))
    monkeypatch.setattr(parts, "_PATIENCE", 0.0)
    with pytest.raises(ClusterError, match="no worker has answered"):
        LogisticRegression().fit(source(tmp_path, client=Here(0)))
    with pytest.raises(ValueError, match="`client` is 0"):
        scan(tmp_path / "part-*.parquet", client=0)


@pytest.mark.parametrize("weighted", [False, True])
def test_draws_are_those_of_one_machine(tmp_path, weighted):
    shards(tmp_path, "weights" if weighted else "classes")
    backend, drawn = NumpyBackend(), []
    for client, opened_by, kind in ((None, opened, StreamRows), (Here(3), rows.opened, rows.ClusterRows)):
        with opened_by(source(tmp_path, client=client)) as streamed:
            there = kind(streamed, backend)
            loss = loss_of(len(streamed.classes))
            W = np.ones((7, loss.n_outputs)) / 3
            mass = there.sweep(CurvatureMass(there.sum(Margins(W)), loss))
            samples = [there.draw(100, 1), there.draw(100, 2, mass), there.draw(100, 3, mass, by_norms=True)]
            samples += [there.witnesses(50, 4, mass), there.draw(1900, 5)]
            drawn.append([there.to_host(mass), there.to_host(mass, np.array([5, 900, 4000]))])
            for sample in samples:
                drawn[-1] += [
                    array
                    for block in sample.blocks()
                    for array in (block.X.stored, block.y, block.sample_weight)
                ]
    assert len(drawn[0]) == len(drawn[1]) == 17
    for one, other in zip(*drawn, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("how", [signal.SIGKILL, pytest.param(signal.SIGSTOP, marks=pytest.mark.slow)])
def test_processes_that_are_killed_or_frozen(tmp_path, how, monkeypatch):
    monkeypatch.setattr(parts, "SILENT", 4.0)
    monkeypatch.setattr(packed, "BLOCK", 1 << 23)  # as in the processes
    shards(tmp_path)
    model = LogisticRegression(backend="numpy")
    expected = known(model.fit(source(tmp_path, client=Here(1))))
    pool, hit = Processes(2), []
    ask = parts.PartsOnWorkers.ask

    def asked(self, method, *args, **options):
        if method == "sums" and not hit:
            hit.append(time.monotonic())
            os.kill(next(iter(pool.children.values())).process.pid, how)
        yield from ask(self, method, *args, **options)

    monkeypatch.setattr(parts.PartsOnWorkers, "ask", asked)
    try:
        assert known(model.fit(source(tmp_path, client=pool))) == expected and hit
        assert time.monotonic() - hit[0] < 60
    finally:
        pool.close()
