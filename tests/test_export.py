"""Ways out: what leaves predicts what stayed, bit for bit or to rounding."""

import json
import pickle
import sqlite3

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression as Sklearn
from sklearn.linear_model import LogisticRegressionCV, SGDClassifier

from logreg_accel import LogisticRegression, load
from logreg_accel.export.document import SCHEMA

LABELS = {
    "numbers": [3, 7, 11],
    "text": ["it's", 'a "quoted" one', "größer"],
    "floats": [-1.0, 0.0, 2.0],
    "booleans": [False, True],
}


def model_of(kind="text", classes=2, n=5, reach=1.0, dtype=np.float64, seed=0):
    """A fit, and rows whose margins go up to about `reach` times what they are."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(200, n)).astype(dtype)
    codes = (X[:, :1] * np.arange(classes) + rng.gumbel(size=(200, classes))).argmax(axis=1)
    codes[:classes] = np.arange(classes)
    y = np.array(LABELS[kind][:classes])[codes]
    rows = X * reach / abs(X).max()
    return LogisticRegression().fit(X, y), rows


def margins_of(model, X):
    return X.astype(np.float64) @ model.coef_.T.astype(np.float64) + model.intercept_


CASES = [("text", 2), ("text", 3), ("numbers", 2), ("numbers", 3), ("floats", 3), ("booleans", 2)]


@pytest.mark.parametrize("kind, classes", CASES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_scikit_learn_there_and_back(kind, classes, dtype):
    model, X = model_of(kind, classes, dtype=dtype)
    theirs = model.to_sklearn()
    assert isinstance(theirs, Sklearn) and theirs.coef_.dtype == model.coef_.dtype
    np.testing.assert_array_equal(theirs.predict(X), model.predict(X))
    np.testing.assert_allclose(
        theirs.predict_proba(X), model.predict_proba(X), rtol=1e-5 if dtype is np.float32 else 1e-12
    )
    pickle.loads(pickle.dumps(theirs)).fit(X, np.asarray(model.classes_)[np.arange(200) % classes])
    back = LogisticRegression.from_sklearn(theirs)
    for name in ("coef_", "intercept_", "classes_", "n_features_in_"):
        np.testing.assert_array_equal(getattr(back, name), getattr(model, name))
    assert back.status_ == "imported" and back.suboptimality_bound_ == 1.0


def test_what_scikit_learn_fitted(tmp_path):
    X, y = np.random.default_rng(1).normal(size=(150, 4)), np.arange(150) % 3
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=list("abcd"))
    for theirs in (
        Sklearn(C=0.3),
        LogisticRegressionCV(Cs=2, cv=2, l1_ratios=[0.0], use_legacy_attributes=False, scoring="accuracy"),
    ):
        ours = LogisticRegression.from_sklearn(theirs.fit(frame, y))
        np.testing.assert_allclose(ours.predict_proba(frame), theirs.predict_proba(frame), rtol=1e-12)
        ours.save(tmp_path / "model.npz")
        np.testing.assert_array_equal(load(tmp_path / "model.npz").coef_, theirs.coef_)
    two = SGDClassifier(loss="log_loss").fit(X, y > 0)
    np.testing.assert_allclose(
        LogisticRegression.from_sklearn(two).predict_proba(X), two.predict_proba(X), rtol=1e-9, atol=1e-15
    )
    assert LogisticRegression.from_sklearn(Sklearn(C=np.inf).fit(X, y)).C == np.inf
    with pytest.raises(ValueError, match="one margin for each class against the rest"):
        LogisticRegression.from_sklearn(SGDClassifier(loss="log_loss").fit(X, y))
    with pytest.raises(ValueError, match="loss='hinge'; expected"):
        LogisticRegression.from_sklearn(SGDClassifier().fit(X, y))
    with pytest.raises(TypeError, match="`model` is a list"):
        LogisticRegression.from_sklearn([])
    with pytest.raises(NotFittedError):
        LogisticRegression.from_sklearn(Sklearn())


@pytest.mark.parametrize("kind, classes", CASES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_documents_keep_every_bit(kind, classes, dtype):
    model, X = model_of(kind, classes, dtype=dtype)
    model.feature_names_in_ = np.array([f"f{j}" for j in range(5)], dtype=object)
    text = json.dumps(model.to_dict(), allow_nan=False)
    back = LogisticRegression.from_dict(json.loads(text))
    for name in ("coef_", "intercept_", "classes_", "feature_names_in_"):
        np.testing.assert_array_equal(getattr(back, name), getattr(model, name))
        assert getattr(back, name).dtype == getattr(model, name).dtype
    assert json.loads(text)["link"] == ("logit" if classes == 2 else "softmax")
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.validate(json.loads(text), SCHEMA)


def test_documents_that_are_none():
    document = model_of()[0].to_dict()
    for change, words in (
        ({"version": 2}, "version 2; expected"),
        ({"coef": [[1.0, "x"]]}, "`coef` of the document is not an array of numbers"),
        ({"coef": [[1.0], [2.0]]}, r"`coef` has shape \(2, 1\)"),
        ({"intercept": [float("inf")]}, "not finite"),
        ({"classes": ["a", "a"]}, "two different"),
        ({"classes": "ab"}, "`classes` of the document is not a list"),
        ({"link": "probit"}, "link 'probit'"),
        ({"features": ["a"]}, "1 names for 5 features"),
    ):
        with pytest.raises(ValueError, match=words):
            LogisticRegression.from_dict({**document, **change})
    with pytest.raises(ValueError, match="lacks 'coef'"):
        LogisticRegression.from_dict({k: v for k, v in document.items() if k != "coef"})
    with pytest.raises(ValueError, match="`document` is a list"):
        LogisticRegression.from_dict([])
    model, _ = model_of()
    model.classes_ = np.array(["2020-01-01", "2021-01-01"], dtype="M8[D]")
    with pytest.raises(ValueError, match="expected text, numbers or booleans"):
        model.to_dict()
    with pytest.raises(NotFittedError):
        LogisticRegression().to_dict()


@pytest.mark.parametrize("reach", [1.0, 1e4])
@pytest.mark.parametrize("kind, classes", CASES)
def test_onnx_predicts_like_the_model(kind, classes, reach, tmp_path):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    model, X = model_of(kind, classes, reach=reach)
    X *= reach / abs(margins_of(model, X)).max()
    model.to_onnx(tmp_path / "model.onnx")
    session = runtime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    label, probabilities, margins = session.run(None, {"X": X})
    expected = margins_of(model, X)
    np.testing.assert_allclose(margins, expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(probabilities, model.predict_proba(X), rtol=1e-10, atol=1e-12)
    assert label.tolist() == model.predict(X).tolist()


@pytest.mark.parametrize("database", ["sqlite", "duckdb"])
@pytest.mark.parametrize("reach", [1.0, 1e4])
@pytest.mark.parametrize("kind, classes", CASES)
def test_sql_predicts_like_the_model(database, kind, classes, reach):
    model, X = model_of(kind, classes)
    X *= reach / abs(margins_of(model, X)).max()
    names = ["age", 'height "in" m', "select", "x.y", "Größe"]
    connection, execute = _database(database)
    columns = ", ".join('"' + name.replace('"', '""') + '" DOUBLE' for name in names)
    execute(f'CREATE TABLE "some people" (id INTEGER, {columns})')
    connection.executemany(
        f'INSERT INTO "some people" VALUES ({", ".join("?" * 6)})',
        [[i, *row] for i, row in enumerate(X.tolist())] + [[200, None, 1.0, 1.0, 1.0, 1.0]],
    )
    query = f"SELECT * FROM ({model.to_sql('some people', names)}) ORDER BY id"
    rows = [row[6:] for row in execute(query).fetchall()]
    assert rows.pop() == (None,) * len(rows[0])
    k = len(model.coef_)
    margins, probabilities = (np.array([row[at] for row in rows]) for at in (slice(0, k), slice(k, 2 * k)))
    np.testing.assert_allclose(margins, margins_of(model, X), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(probabilities, model.predict_proba(X)[:, -k:], rtol=1e-10, atol=1e-12)
    assert [row[-1] for row in rows] == model.predict(X).tolist()


def _database(name):
    if name == "duckdb":
        connection = pytest.importorskip("duckdb").connect()
        return connection, connection.execute
    connection = sqlite3.connect(":memory:")
    try:
        connection.execute("SELECT exp(1)")
    except sqlite3.OperationalError:  # built without its mathematical functions
        connection.create_function("exp", 1, lambda v: None if v is None else float(np.exp(v)))
    return connection, connection.execute


def test_sql_of_many_columns():
    """A chain of so many additions is deeper than SQLite accepts."""
    model, X = model_of("numbers", 2, n=1500)
    connection, execute = _database("sqlite")
    names = [f"c{j}" for j in range(1500)]
    execute(f"CREATE TABLE t ({', '.join(f'{name} REAL' for name in names)})")
    connection.execute(f"INSERT INTO t VALUES ({', '.join(map(repr, X[0].tolist()))})")
    found = execute(f"SELECT margin FROM ({model.to_sql('main.t', names)})").fetchone()[0]
    assert found == pytest.approx(margins_of(model, X[:1])[0, 0], rel=1e-12)


def test_sql_that_cannot_be():
    model, _ = model_of()
    with pytest.raises(ValueError, match="no names of its features; give 5 names"):
        model.to_sql("t")
    with pytest.raises(ValueError, match="has 2 names; expected 5 different ones"):
        model.to_sql("t", list("aabbb"))
    with pytest.raises(ValueError, match="'Margin', which is a name of the result"):
        model.to_sql("t", [*"abcd", "Margin"])
    model.classes_ = np.array(["a\x00b", "b"])
    with pytest.raises(ValueError, match="no literal"):
        model.to_sql("t", list("abcde"))
