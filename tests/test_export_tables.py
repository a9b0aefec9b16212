"""A model with its encoder of tables leaves: databases and ONNX score the table as it comes."""

import json
import sqlite3

import numpy as np
import pandas as pd
import pytest

from logreg_accel import LogisticRegression, TableEncoder
from logreg_accel.export.document import SCHEMA


def table(seed=0, m=400):
    """Numbers, texts, bools and missing values, among them names that are awkward."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "age": rng.normal(50, 15, m),
            "it's": rng.choice(
                ["o'Neill", "größer", 'a "b"', "rare1", "rare2"], m, p=[0.5, 0.3, 0.19, 0.005, 0.005]
            ),
            "code": rng.choice(["x", "y"], m),
            "member": rng.random(m) < 0.5,
            'in "cm"': rng.normal(170, 10, m),
            "one": 1.0,
        }
    )
    frame.loc[rng.random(m) < 0.1, "age"] = np.nan
    frame.loc[rng.random(m) < 0.1, "it's"] = None
    return frame


def unseen(frame):
    """The same with what training did not have."""
    frame = frame.copy()
    frame.loc[:4, "it's"] = "never seen"
    frame.loc[5:9, "code"] = "z"
    frame.loc[10:14, "code"] = ""
    frame.loc[15:19, 'in "cm"'] = np.nan
    return frame


def model_of(classes, seed=0):
    frame, rng = table(seed), np.random.default_rng(seed + 1)
    encoder = TableEncoder(scale=seed % 2 == 1, drop_first=seed % 2 == 1).fit(frame)
    y = np.array(["no", "yes", "may be"][:classes])[rng.integers(0, classes, len(frame))]
    model = LogisticRegression(C=10.0).fit(encoder.transform(frame), y)
    model.encoder_ = encoder
    return model


@pytest.mark.parametrize("classes, seed", [(2, 0), (3, 1)])
def test_scikit_learn_is_told_the_names_of_the_encoded_columns(classes, seed):
    model, rows = model_of(classes, seed), unseen(table(seed + 5))
    theirs = model.to_sklearn()
    assert theirs.feature_names_in_.tolist() == model.encoder_.get_feature_names_out().tolist()
    encoded = pd.DataFrame(model.encoder_.encode(rows)[0], columns=theirs.feature_names_in_)
    np.testing.assert_allclose(
        theirs.predict_proba(encoded), model.predict_proba(encoded.to_numpy()), rtol=1e-12
    )


@pytest.fixture(params=[(2, 0, 1.0), (3, 1, 1.0), (2, 1, 1e4)], ids=["two", "three", "far"])
def scored(request):
    """A model, rows with what it has not seen, and their margins."""
    classes, seed, reach = request.param
    model, rows = model_of(classes, seed), unseen(table(seed + 5))
    X = model.encoder_.encode(rows)[0]
    X = X.toarray() if hasattr(X, "toarray") else X
    far = reach / abs(X @ model.coef_.T + model.intercept_).max() if reach > 1 else 1.0
    model.coef_, model.intercept_ = model.coef_ * far, model.intercept_ * far
    return model, rows, X @ model.coef_.T + model.intercept_, model.predict_proba(X), model.predict(X)


@pytest.mark.parametrize("database", ["sqlite", "duckdb"])
def test_sql_takes_the_raw_table(database, scored):
    model, rows, margins, probabilities, labels = scored
    rows = rows.assign(**{"it's": rows["it's"].where(rows["it's"] != "größer", " größer\t")})
    if database == "duckdb":
        connection = pytest.importorskip("duckdb").connect()
        connection.execute("CREATE TABLE people AS SELECT * FROM rows")
    else:
        connection = sqlite3.connect(":memory:")
        rows.to_sql("people", connection, index=False)
    found = connection.execute(model.to_sql("people")).fetchall()
    k, n = margins.shape[1], rows.shape[1]
    told = np.array([row[n : n + 2 * k] for row in found], dtype=float)
    np.testing.assert_allclose(told[:, :k], margins, rtol=1e-12, atol=1e-12 * abs(margins).max())
    np.testing.assert_allclose(told[:, k:], probabilities[:, -k:], rtol=1e-7, atol=1e-12)
    assert [row[-1] for row in found] == labels.tolist()


def test_onnx_takes_the_raw_table(scored, tmp_path):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    model, rows, margins, probabilities, labels = scored
    model.to_onnx(tmp_path / "model.onnx")
    session = runtime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    assert {given.name for given in session.get_inputs()} == {"age", "it's", "code", "member", 'in "cm"'}
    fed = {
        given.name: rows[[given.name]].fillna("").to_numpy(dtype=object)
        if given.type == "tensor(string)"
        else rows[[given.name]].to_numpy(dtype=np.float64)
        for given in session.get_inputs()
    }
    label, told, z = session.run(None, fed)
    np.testing.assert_allclose(z, margins, rtol=1e-12, atol=1e-12 * abs(margins).max())
    np.testing.assert_allclose(told, probabilities, rtol=1e-7, atol=1e-12)
    assert label.tolist() == labels.tolist()


def test_many_levels(tmp_path):
    """So many nested expressions are more than a database accepts."""
    levels = np.array([f"level {i:05}" for i in range(3000)])
    frame = {"level": np.repeat(levels, 3), "x": np.arange(9000.0) % 7}
    encoder = TableEncoder(min_count=1, categorical=["level"]).fit(frame)
    X = encoder.transform(frame)
    model = LogisticRegression(C=0.1, max_iter=20).fit(X, np.arange(9000) % 2)
    model.encoder_ = encoder
    connection = sqlite3.connect(":memory:")
    pd.DataFrame(frame).to_sql("t", connection, index=False)
    found = [row[0] for row in connection.execute(f"SELECT margin FROM ({model.to_sql('t')})")]
    np.testing.assert_allclose(found, (X @ model.coef_.T + model.intercept_)[:, 0], atol=1e-12)


def test_a_matrix_is_scored_by_its_columns():
    model = model_of(2)
    names = [f"f{j}" for j in range(model.n_features_in_)]
    assert "CASE WHEN CAST" not in model.to_sql("t", names) and '"f3"' in model.to_sql("t", names)


def test_names_of_outputs_are_refused(tmp_path):
    pytest.importorskip("onnx")
    frame = table().rename(columns={"code": "label", "age": "margin"})
    encoder = TableEncoder().fit(frame)
    model = LogisticRegression().fit(encoder.transform(frame), np.arange(400) % 2)
    model.encoder_ = encoder
    with pytest.raises(ValueError, match="column 'label', the name of an output"):
        model.to_onnx(tmp_path / "model.onnx")
    with pytest.raises(ValueError, match="'margin', which is a name of the result"):
        model.to_sql("t")
    assert not list(tmp_path.iterdir())


def test_the_schema_has_the_encoder():
    jsonschema = pytest.importorskip("jsonschema")
    document = model_of(2).to_dict()
    jsonschema.validate(document, SCHEMA)
    del document["encoder"]["columns"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, SCHEMA)


def test_a_document_brings_its_encoder_along(scored):
    model, rows, margins, probabilities, _ = scored
    document = json.loads(json.dumps(model.to_dict()))
    again = LogisticRegression.from_dict(document)
    X = again.encoder_.encode(rows)[0]
    np.testing.assert_array_equal(again.predict_proba(X), probabilities)
    assert again.encoder_.to_dict() == model.encoder_.to_dict()
    del document["encoder"]["columns"][-1]
    document["encoder"]["columns"][0] = {**document["encoder"]["columns"][0], "missing": False}
    with pytest.raises(ValueError, match="`encoder` of the document makes"):
        LogisticRegression.from_dict(document)
    document["encoder"] = {"columns": 1}
    with pytest.raises(ValueError, match="`encoder` of the document is invalid: it is not an encoder"):
        LogisticRegression.from_dict(document)
