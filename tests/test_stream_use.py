"""Sources as they are used: predictions chunk by chunk, and the command line with its checkpoint."""

import json
import os

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from sklearn.datasets import dump_svmlight_file

from logreg_accel import LogisticRegression, LogisticRegressionCV, load, scan
from logreg_accel.cli import main

NAMES = list("abc")


@pytest.fixture
def folder(tmp_path):
    """Three Parquet shards with columns a, b, c, a key, a label y and a weight w."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.standard_normal((3000, 3)), columns=NAMES)
    frame = frame.assign(key=np.arange(3000), w=rng.random(3000))
    frame["y"] = np.where(frame.a - frame.b + rng.standard_normal(3000) > 0, "yes", "no")
    for i in range(3):
        part = frame.iloc[1000 * i : 1000 * (i + 1)].reset_index(drop=True)
        part.to_parquet(tmp_path / f"part-{i}.parquet")
    frame.to_pickle(tmp_path / "all.pkl")
    return tmp_path


def everything(folder):
    return pd.read_pickle(folder / "all.pkl")


def test_predictions_of_a_source_are_a_stream(folder):
    frame = everything(folder)
    model = LogisticRegression().fit(frame[NAMES], frame.y)
    source = scan(folder / "part-*.parquet", drop=["y"])  # columns that the model does not know are left
    for method in ("decision_function", "predict", "predict_proba", "predict_log_proba"):
        pieces = list(getattr(model, method)(source))
        assert len(pieces) == 3
        np.testing.assert_array_equal(np.concatenate(pieces), getattr(model, method)(frame[NAMES]))
    labelled = scan(folder / "part-*.parquet", target="y", weight="w")
    assert model.score(labelled) == pytest.approx(model.score(frame[NAMES], frame.y, frame.w), rel=1e-12)
    with pytest.raises(ValueError, match="part-0.parquet' lacks columns of the fit: c"):
        next(iter(model.predict(scan(folder / "part-*.parquet", features=["a", "b"]))))
    streamed = LogisticRegression().fit(scan(folder / "part-*.parquet", target="y", features=NAMES))
    assert list(streamed.feature_names_in_) == NAMES
    np.testing.assert_allclose(streamed.coef_, model.coef_, rtol=1e-7)
    assert streamed.predict_proba(frame[NAMES], prior="data").shape == (3000, 2)


def test_predictions_of_sparse_lines_that_lack_the_last_columns(tmp_path):
    X = scipy.sparse.random_array((200, 9), density=0.4, rng=0, format="csr")
    y = np.arange(200) % 2
    model = LogisticRegression().fit(X, y)
    few = scipy.sparse.csr_array(X.toarray()[:50, :6])
    dump_svmlight_file(few, y[:50], str(tmp_path / "a.svm"), zero_based=False)
    (got,) = model.decision_function(scan(tmp_path / "a.svm"))
    padded = np.hstack([few.toarray(), np.zeros((50, 3))])
    np.testing.assert_allclose(got, model.decision_function(padded), rtol=1e-12)


def train(folder, *more):
    pattern, out = str(folder / "part-*.parquet"), str(folder / "model.npz")
    return main(["train", pattern, "--target", "y", "--drop", "key,w", "--model", out, "--quiet", *more])


def test_train_on_a_pattern_with_a_budget_and_a_checkpoint(folder, capsys):
    frame, log = everything(folder), str(folder / "log")
    expected = LogisticRegression().fit(frame[NAMES], frame.y)
    streamed = ["--memory", "200MB", "--cache", str(folder / "cache"), "--checkpoint", log]
    assert train(folder, *streamed) == 0
    first = load(folder / "model.npz")
    np.testing.assert_allclose(first.coef_, expected.coef_, rtol=1e-7)
    assert list(first.feature_names_in_) == NAMES and len(os.listdir(folder / "cache")) == 1
    assert train(folder, *streamed) == 2
    assert "--resume continues from it" in capsys.readouterr().err
    assert train(folder, *streamed, "--resume") == 0
    np.testing.assert_array_equal(load(folder / "model.npz").coef_, first.coef_)
    assert train(folder, *streamed, "--resume", "--C", "2") == 3
    assert "C was 1.0 and is 2.0" in capsys.readouterr().err


def test_ctrl_c_tells_how_to_go_on(folder, capsys, monkeypatch):
    fit, log = LogisticRegression.fit, str(folder / "log")

    def interrupted(self, *data, checkpoint):
        fit(self, *data, checkpoint=checkpoint)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(LogisticRegression, "fit", interrupted)
        assert train(folder, "--memory", "200MB", "--checkpoint", log) == 130
    assert f"interrupted; the same command with --resume continues from {log}" in capsys.readouterr().err
    assert train(folder, "--memory", "200MB", "--checkpoint", log, "--resume") == 0


def test_what_the_command_line_refuses(folder, capsys):
    for more, message in (
        (["--memory", "200MB", "--test-size", "0.2"], "--test-size needs all rows in memory"),
        (["--memory", "200MB", "--threshold", "f1"], "--threshold needs all rows"),
        (["--memory", "200MB", "--class-weight", "yes=2"], "--class-weight with --memory"),
        (["--resume"], "--checkpoint is missing"),
        (["--memory", "much"], "argument --memory: 'much' is not a size such as 4GB or 800MB"),
        (["--memory", "1GB", "--drop", "key,x"], "has no column 'x'"),
        (["--memory", "1GB", "--target", "key"], "3,000 different values in 3,000 rows"),
        (["--memory", "1GB", "--target", "key", "--encode", "none"], "columns that are not numbers: 'y'"),
    ):
        try:
            code = train(folder, *more)
        except SystemExit as usage:  # what argparse refuses by itself
            code = usage.code
        assert code in (2, 3)
        assert message in capsys.readouterr().err
    assert not (folder / "model.npz").exists()


def test_what_is_told(folder, capsys):
    pattern, out = str(folder / "part-*.parquet"), str(folder / "model.npz")
    line = ["train", pattern, "--target", "y", "--drop", "key,w", "--model", out, "--memory", "1GB", "--json"]
    assert main([*line, "--class-weight", "balanced"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["status"] == "converged" and facts["features"] == 3 and facts["classes"] == 2


def test_a_text_among_numbers_is_told_with_its_line(tmp_path):
    frame = pd.DataFrame({"a": np.arange(90_000.0), "b": np.arange(90_000.0).astype(str), "y": 1})
    frame.to_csv(tmp_path / "0.csv", index=False)
    frame.loc[70_000, "b"] = "oops"
    frame.to_csv(tmp_path / "1.csv", index=False)
    with pytest.raises(ValueError, match=r"1.csv' has 'oops' in column 'b' in line 70002; expected a number"):
        list(scan(tmp_path / "*.csv", target="y").pieces())


def test_a_chunk_unlike_the_first_is_told_with_its_row():
    X = np.random.default_rng(0).standard_normal((50, 3))

    def ragged():
        yield X, X[:, 0] > 0
        yield X[:, :2], X[:, 0] > 0

    with pytest.raises(ValueError, match="ragged, from row 50 on' has 2 columns, where"):
        LogisticRegression().fit(scan(ragged))


def test_a_cache_is_the_name_of_a_folder():
    with pytest.raises(TypeError, match="`cache` is True; expected the name of a folder"):
        scan(lambda: iter([]), cache=True)


def test_a_callable_may_write_every_chunk_into_the_same_arrays():
    rng = np.random.default_rng(0)
    X, s = rng.standard_normal((500, 3)), rng.random(500)
    y = (X[:, 0] + rng.standard_normal(500) > 0).astype(int)

    def reused():
        chunk = np.empty((50, 3)), np.empty(50, dtype=int), np.empty(50)
        for start in range(0, 500, 50):
            for array, given in zip(chunk, (X, y, s), strict=True):
                array[:] = given[start : start + 50]
            yield chunk

    clf, whole = LogisticRegression().fit(scan(reused)), LogisticRegression().fit(X, y, s)
    np.testing.assert_allclose(clf.coef_, whole.coef_, rtol=1e-6)
    chosen, alike = (LogisticRegressionCV(Cs=[0.1, 1.0], tol=1e-12) for _ in range(2))
    alike.fit(X, y, s)
    np.testing.assert_allclose(chosen.fit(scan(reused)).scores_, alike.scores_, rtol=1e-6)
    assert chosen.score(scan(reused)) == pytest.approx(chosen.score(X, y, s))
