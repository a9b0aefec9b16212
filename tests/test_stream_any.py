"""Rows in shards of any format, cut anywhere, some of them empty: they are fitted like rows in memory."""

import numpy as np
import pandas as pd
import pyarrow.dataset
import pytest
import scipy.sparse
from sklearn.datasets import dump_svmlight_file

from logreg_accel import LogisticRegression, LogisticRegressionCV, scan
from logreg_accel.data import chunks, packed, shards

SPARSE = {"svmlight", "sparse npz"}


def problem(rng, kind):
    """X, y and weights or None; no class is rare."""
    m, n, k = int(rng.choice([60, 300, 900])), int(rng.integers(1, 9)), int(rng.integers(2, 5))
    X = rng.standard_normal((m, n)) * (rng.random((m, n)) < 0.4 if kind in SPARSE else 1)
    y = (X @ rng.standard_normal((n, k)) / np.sqrt(n) + 2 * rng.gumbel(size=(m, k))).argmax(axis=1)
    y[rng.permutation(m)[: 4 * k]] = np.repeat(np.arange(k), 4)
    weighted = kind != "svmlight" and rng.random() < 0.5
    return X, y, rng.random(m) * (rng.random(m) < 0.8) if weighted else None


def written(kind, folder, rng, X, y, w):
    """The shards as files, beside some that are none; what `scan` is told of them."""
    names = [f"c{j}" for j in range(X.shape[1])]
    cuts = np.sort(rng.integers(0, len(X) + 1, rng.integers(0, 5)))
    for i, rows in enumerate(np.split(np.arange(len(X)), cuts)):
        path, beside = folder / f"part-{i}", {"y": y[rows]} | ({} if w is None else {"w": w[rows]})
        frame = pd.DataFrame(X[rows], columns=names).assign(**beside)
        if kind == "parquet":
            frame = frame[list(rng.permutation(frame.columns))]
        if kind in ("parquet", "dataset", "lazy frame"):
            frame.to_parquet(f"{path}.parquet", row_group_size=int(rng.integers(1, 200)))
        elif kind == "feather":
            frame.to_feather(f"{path}.feather")
        elif kind.startswith("csv"):
            frame.to_csv(f"{path}.{kind}", index=False)
        elif kind == "npy":
            np.save(f"{path}.npy", frame.to_numpy())
        elif kind == "npz":
            np.savez(f"{path}.npz", X=X[rows], **beside)
        elif kind == "sparse npz":
            some = scipy.sparse.csr_array(X[rows])
            parts = {"data": some.data, "indices": some.indices, "indptr": some.indptr, "shape": some.shape}
            np.savez(f"{path}.npz", **parts, **beside)
        elif len(rows):
            dump_svmlight_file(X[rows], y[rows], f"{path}.svm", zero_based=False)
        else:
            open(f"{path}.svm", "w").close()
    (folder / ".hidden").write_text("no rows")
    (folder / "_SUCCESS").touch()
    if kind == "npy":
        return {"target": X.shape[1]} | ({} if w is None else {"weight": -1})
    return {} if kind == "svmlight" else {"target": "y"} | ({} if w is None else {"weight": "w"})


def opened(kind, folder, **told):
    paths = sorted(map(str, folder.glob("part-*")))
    if kind == "dataset":
        return scan(pyarrow.dataset.dataset(paths), **told)
    if kind == "lazy frame":
        return scan(pytest.importorskip("polars").scan_parquet(paths), **told)
    return scan(folder, **told)


KINDS = [
    "parquet",
    "feather",
    "csv",
    "csv.gz",
    "csv.xz",
    "npy",
    "npz",
    "dataset",
    "lazy frame",
    *sorted(SPARSE),
]


@pytest.mark.parametrize("seed", [1, 2, *(pytest.param(i, marks=pytest.mark.slow) for i in range(3, 20))])
@pytest.mark.parametrize("kind", KINDS)
def test_a_source_is_fitted_like_its_rows_in_memory(kind, seed, tmp_path, monkeypatch):
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    monkeypatch.setattr(packed, "BLOCK", int(rng.choice([1 << 12, 1 << 15])))
    for module in (shards, chunks):
        monkeypatch.setattr(module, "CHUNK", int(rng.choice([1 << 10, 1 << 14])))
    X, y, w = problem(rng, kind)
    told = written(kind, tmp_path, rng, X, y, w)
    source = opened(kind, tmp_path, memory="96MB", classes=sorted(set(y.tolist())), **told)
    rows = scipy.sparse.csr_array(X) if kind in SPARSE else X
    settings = {"tol": 1e-13, "fit_intercept": bool(rng.random() < 0.7)}
    model = LogisticRegression(**settings).fit(source)
    expected = LogisticRegression(**settings).fit(rows, y, w)
    names = list(getattr(model, "feature_names_in_", ()))
    order = [names.index(f"c{j}") for j in range(X.shape[1])] if names else slice(None)
    scale = abs(expected.coef_).max()
    np.testing.assert_allclose(model.coef_[:, order], expected.coef_, rtol=0, atol=1e-7 * scale)
    np.testing.assert_allclose(model.intercept_, expected.intercept_, rtol=1e-7, atol=1e-7)
    margins = np.concatenate(list(model.decision_function(source)))
    np.testing.assert_allclose(margins, expected.decision_function(rows), rtol=0, atol=1e-6)
    np.testing.assert_allclose(model.score(source), expected.score(rows, y, w), rtol=1e-12)
    settings |= {"Cs": [0.1, 1.0], "cv": 3, "scoring": "neg_log_loss"}
    scores = LogisticRegressionCV(**settings).fit(source).scores_
    np.testing.assert_allclose(scores, LogisticRegressionCV(**settings).fit(rows, y, w).scores_, rtol=1e-5)
