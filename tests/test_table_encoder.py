"""TableEncoder beside scikit-learn's encoders, on frames of several libraries, and on odd columns."""

import datetime
import json

import numpy as np
import pytest
import scipy.sparse

pa = pytest.importorskip("pyarrow")

from sklearn.base import clone  # noqa: E402
from sklearn.compose import make_column_transformer  # noqa: E402
from sklearn.impute import SimpleImputer  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import OneHotEncoder  # noqa: E402
from sklearn.utils.estimator_checks import check_estimator  # noqa: E402

from logreg_accel import LogisticRegression, TableEncoder, load  # noqa: E402
from logreg_accel.table import LeftOut, Levels, Number  # noqa: E402


def draw(seed=0, rows=300):
    """Columns of every kind, with missing values in some, and labels."""
    rng = np.random.default_rng(seed)
    lost = lambda values: [None if rng.random() < 0.1 else value for value in values.tolist()]  # noqa: E731
    table = {
        "id": list(range(1, rows + 1)),
        "x": rng.standard_normal(rows).tolist(),
        "gap": lost(rng.exponential(size=rows)),
        "count": rng.integers(0, 9, rows).tolist(),
        "flag": (rng.random(rows) < 0.3).tolist(),
        "town": rng.choice(["Oslo", "Rom", "Köln", "=1+1"], rows).tolist(),
        "job": lost(rng.choice(["a", "b", "c"], rows)),
        "street": [f"{'Aa' if i % 3 else 'Bb'} {rng.integers(0, 80)}" for i in range(rows)],
    }
    z = np.array(table["x"]) + (np.array(table["town"]) == "Rom") - np.array(table["flag"])
    return table, np.where(rng.random(rows) < 1 / (1 + np.exp(-z)), "yes", "no")


FRAMES = {
    "pyarrow": pa.table,
    "dict": dict,
    "pandas": lambda table: pytest.importorskip("pandas").DataFrame(table),
    "polars": lambda table: pytest.importorskip("polars").DataFrame(table),
    "polars lazy": lambda table: pytest.importorskip("polars").LazyFrame(table),
    "record batch": lambda table: pa.RecordBatch.from_pydict(table),
    "pandas categories": lambda table: (
        pytest.importorskip("pandas").DataFrame(table).astype({"town": "category"})
    ),
}


@pytest.mark.parametrize("kind", FRAMES)
def test_the_same_from_frames_of_any_library(kind):
    table, _ = draw()
    expected = TableEncoder(sparse_output=False).fit(pa.table(table))
    encoder = TableEncoder(sparse_output=False).fit(FRAMES[kind](table))
    assert encoder.columns_ == expected.columns_
    np.testing.assert_array_equal(encoder.transform(FRAMES[kind](table)), expected.transform(pa.table(table)))


@pytest.mark.parametrize("sparse", [False, True])
def test_as_scikit_learn_encodes(sparse):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(draw()[0]).drop(columns="id")
    encoder = TableEncoder(sparse_output=sparse, min_count=4)
    found = encoder.fit_transform(frame)
    assert scipy.sparse.issparse(found) == sparse
    one_hot = OneHotEncoder(sparse_output=False, min_frequency=4)
    theirs = make_column_transformer(
        ("passthrough", ["x"]),
        (SimpleImputer(strategy="median", add_indicator=True), ["gap"]),
        ("passthrough", ["count", "flag"]),
        (one_hot, ["town"]),
        (OneHotEncoder(sparse_output=False), ["job"]),
        (one_hot, ["street"]),
    ).fit_transform(frame.assign(job=frame["job"].fillna("~")))  # which sorts as missing values come here
    np.testing.assert_array_equal(found.toarray() if sparse else found, theirs.astype(float))
    names = encoder.get_feature_names_out()
    assert names[:6].tolist() == ["x", "gap", "gap (missing)", "count", "flag", "town==1+1"]
    assert len(names) == found.shape[1] == encoder.n_features_out_ and "street (rare)" in names
    assert names[names.tolist().index("job=c") + 1] == "job (missing)"


def test_sparse_is_canonical_and_auto_goes_by_the_share_of_entries():
    table, _ = draw()
    found = TableEncoder(sparse_output=True).fit_transform(table)
    assert found.has_canonical_format and (found.data != 0).all() and found.dtype == np.float64
    assert scipy.sparse.issparse(TableEncoder().fit_transform(table))
    assert not scipy.sparse.issparse(TableEncoder(drop=["street"]).fit_transform(table))


def test_many_batches_are_as_one(monkeypatch):
    from logreg_accel.table import rows as room

    table, _ = draw()
    for sparse in (False, True):
        whole = TableEncoder(sparse_output=sparse).fit_transform(table)
        monkeypatch.setattr(room, "_BATCH", 7)
        parts = TableEncoder(sparse_output=sparse).fit(table).transform(table)
        monkeypatch.undo()
        assert abs(whole - parts).max() == 0


def test_what_training_did_not_have_is_counted():
    encoder = TableEncoder(min_count=5, sparse_output=False).fit(draw()[0])
    new = {
        "town": ["Paris", "Rom"],
        "job": [None, "z"],
        "street": ["new", "Aa 3"],
        "x": [None, 1.0],
        "more": [1, 2],
    }
    found, counts = encoder.encode(new)
    assert counts.unseen == {"town": 1, "job": 1, "street": 1} and counts.lacking == {"x": 1}
    assert counts.absent == ["gap", "count", "flag"] and counts.extra == ["more"]
    row = dict(zip(encoder.get_feature_names_out(), found[0], strict=True))
    assert [row[f"town={town}"] for town in ("Rom", "Oslo")] == [0, 0] and row["job (missing)"] == 1
    assert row["street (rare)"] == 1 and row["gap (missing)"] == 1
    by_name = {column.name: column for column in encoder.columns_}
    assert row["x"] == by_name["x"].median and row["gap"] == by_name["gap"].median
    with pytest.warns(UserWarning, match="town': 1 values that training did not have"):
        encoder.transform(new)
    with pytest.raises(ValueError, match="none of the columns"):
        encoder.transform({"y": [1.0]})
    with pytest.raises(ValueError, match="column 'x' is string; expected numbers"):
        encoder.transform({"x": ["word"]})


def test_pooled_levels_of_training_are_not_new():
    table, _ = draw()
    encoder = TableEncoder(min_count=5).fit(table)
    assert not list(encoder.encode(table)[1].sentences())


def test_scale_makes_a_penalty_fall_on_all_alike():
    table, _ = draw()
    encoder = TableEncoder(scale=True, sparse_output=False).fit(table)
    found = encoder.transform(table)
    deviations = dict(zip(encoder.get_feature_names_out(), found.std(axis=0), strict=True))
    assert deviations["x"] == pytest.approx(1) == deviations["count"]


REASONS = {
    "rising integers": (list(range(10, 50)), "numbers the rows"),
    "one value": ([3] * 40, "one value only"),
    "one text": (["a"] * 40, "one value only"),
    "names": ([f"n{i}" for i in range(40)], "identifies the rows"),
    "dates": ([datetime.date(2020, 1, 1 + i % 7) for i in range(40)], "dates"),
    "dates as text": ([f"{i:02}/{1 + j}/2020" for i in range(20) for j in range(2)] * 2, "dates"),
    "dates in words": ([f"{1 + i % 28} Jan {1950 + i}" for i in range(40)], "dates"),
    "dates that differ": ([f"1/{1 + i % 28}/2020 10:{i:02}" for i in range(40)], "dates"),
    "numbers of people": ([f"123-45-{1000 + i}" for i in range(40)], "identifies the rows"),
    "lists": ([[1]] * 40, "neither numbers nor text"),
}


@pytest.mark.parametrize("case", REASONS)
def test_what_is_left_out_has_a_reason(case):
    values, why = REASONS[case]
    x = np.random.default_rng(0).standard_normal(len(values)).tolist()
    left = TableEncoder().fit({"x": x, "c": values}).columns_[1]
    assert isinstance(left, LeftOut) and why in left.why
    with pytest.raises(ValueError, match="No column is left"):
        TableEncoder().fit({"c": values})


def test_ids_are_told_from_numbers():
    rng = np.random.default_rng(0)
    shuffled = rng.permutation(1000).tolist()
    table = {"customer_id": shuffled, "price": shuffled, "few": [1, 2] * 500}
    columns = TableEncoder().fit(table).columns_
    assert [type(column) for column in columns] == [LeftOut, Number, Number]
    assert "an id by its name" in columns[0].why  # it numbers no rows: these are in any order
    wide = TableEncoder().fit({"x": shuffled, "account": [v * 10**15 + v for v in shuffled]}).columns_
    assert [type(column) for column in wide] == [Number, LeftOut]
    chosen = TableEncoder(numeric=["customer_id"], categorical=["few"], drop=["price"]).fit(table)
    assert [type(c) for c in chosen.columns_] == [Number, Levels] and chosen.columns_[1].levels == ("1", "2")


WRONG = {
    "no value": ([None] * 400, {}, "'c' has no value at all.*--drop c"),
    "mixed": ([*map(str, range(390)), *["old"] * 10], {}, "mixed types: 390 numbers.*'old'.*--na 'old'"),
    "measured and words": ([*[f"{i}.5" for i in range(250)], *["old"] * 150], {}, "mixed types"),
    "infinite": ([float("inf"), 1.0] * 200, {}, "200 infinite values, the first in row 0"),
    "too many": ([f"n{i // 2}" for i in range(400)], {"max_levels": 50}, "200 levels, more than 50"),
    "text as numbers": (["a", "b"] * 200, {"numeric": ["c"]}, "expected numbers"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_encoded_is_refused(case):
    values, parameters, words = WRONG[case]
    with pytest.raises(ValueError, match=words):
        TableEncoder(**parameters).fit({"x": [0.5, 1.5] * 200, "c": values})


def test_grades_of_numbers_and_words_are_levels():
    column = TableEncoder().fit({"children": ["0", "1", "2", "3+"] * 50}).columns_[0]
    assert column.levels == ("0", "1", "2", "3+") and not column.missing
    blank = TableEncoder().fit({"town": [" Rom", "Rom ", "Oslo", " ", ""] * 40}).columns_[0]
    assert blank.levels == ("Oslo", "Rom") and blank.missing


def test_categories_are_levels_whatever_they_are_made_of():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"x": [0.5, 1.5] * 20, "grade": pd.Categorical([1, 3] * 20)})
    encoder = TableEncoder().fit(frame)
    assert encoder.columns_[1].levels == ("1", "3")
    np.testing.assert_array_equal(encoder.transform(frame.astype({"grade": int})), encoder.transform(frame))


def test_mixed_objects_of_pandas_are_told():
    pd = pytest.importorskip("pandas")
    with pytest.raises(ValueError, match="'c' of `X` has values of several types.*astype"):
        TableEncoder().fit(pd.DataFrame({"c": [1, "a", 2.5, None] * 9}))


def test_in_a_pipeline_and_in_a_model_file(tmp_path):
    table, y = draw()
    pipeline = make_pipeline(TableEncoder(), LogisticRegression()).fit(pa.table(table), y)
    assert clone(pipeline).fit(pa.table(table), y).score(pa.table(table), y) > 0.6
    model = pipeline[-1]
    model.encoder_, model.threshold_ = pipeline[0], 0.25
    model.save(tmp_path / "m")
    again = load(tmp_path / "m")
    assert again.threshold_ == 0.25 and again.encoder_.columns_ == pipeline[0].columns_
    new = {**table, "town": ["Rom", "Paris"] * 150}
    np.testing.assert_array_equal(
        again.predict_proba(again.encoder_.encode(new)[0]), model.predict_proba(pipeline[0].encode(new)[0])
    )


@pytest.mark.parametrize("street", [True, False], ids=["sparse", "dense"])
@pytest.mark.filterwarnings("error")
def test_a_model_takes_the_arrays_of_its_encoder(tmp_path, street):
    """It knows the names of their columns, and scikit-learn would warn that they have none."""
    pd = pytest.importorskip("pandas")
    table, y = draw()
    frame = pd.DataFrame(table).drop(columns=[] if street else "street")
    encoder = TableEncoder().fit(frame)
    X, names = encoder.transform(frame), encoder.get_feature_names_out()
    assert scipy.sparse.issparse(X) == street
    named = pd.DataFrame(X.toarray() if street else X, columns=names)
    model = LogisticRegression().fit(named, y)
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        expected = model.predict_proba(X)
    model.encoder_ = encoder
    model.save(tmp_path / "m")
    again = load(tmp_path / "m")
    np.testing.assert_array_equal(again.predict_proba(again.encoder_.transform(frame)), expected)
    assert again.score(named, y) == model.score(X, y)
    with pytest.raises(ValueError, match="feature names should match"):
        again.predict(named[names[::-1]])
    with pytest.raises(TypeError, match="Encode them"):
        again.predict(frame)
    with pytest.warns(UserWarning, match="valid feature names"), pytest.raises(ValueError, match="features"):
        again.predict(X[:, 1:])


@pytest.mark.parametrize(
    "path, value",
    [
        (("names",), [1]),
        (("sparse",), 1),
        (("columns",), {}),
        (("columns", 1, "median"), "x"),
        (("columns", 1, "scale"), 0.0),
        (("columns", 1, "is"), "levels"),
        (("columns", 5, "levels"), "ab"),
        (("columns", 5, "levels"), ["a", "a"]),
        (("columns", 0, "why"), None),
        (("columns", 0, "name"), "x"),
    ],
)
def test_an_encoder_that_was_not_saved_is_refused(path, value):
    values = json.loads(json.dumps(TableEncoder().fit(draw()[0]).to_dict()))
    assert TableEncoder.from_dict(json.loads(json.dumps(values))).to_dict() == values
    inner = values
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    with pytest.raises(ValueError):
        TableEncoder.from_dict(values)


def test_it_is_an_estimator_of_scikit_learn():
    check_estimator(TableEncoder())
    table, _ = draw()
    out = TableEncoder(sparse_output=False).set_output(transform="pandas").fit_transform(table)
    assert list(out.columns) == TableEncoder().fit(table).get_feature_names_out().tolist()


def test_the_first_level_is_what_others_are_compared_with():
    """As scikit-learn's OneHotEncoder(drop="first"); the base is neither new nor rare nor missing."""
    frame = {"town": ["Rom", "Bern", "Oslo", "Rom", "Oslo", "Bern", None, "x"] * 5, "n": [1, 2] * 20}
    encoder = TableEncoder(drop_first=True, min_count=6, categorical=["town"]).fit(frame)
    assert encoder.get_feature_names_out().tolist()[:4] == [
        "town=Oslo", "town=Rom", "town (rare)", "town (missing)",
    ]  # fmt: skip
    for sparse in (False, True):
        encoder.sparse_output = sparse
        X, counts = TableEncoder.from_dict(encoder.to_dict()).encode(
            {"town": ["Bern", " Bern ", "Oslo", "x", "new", None], "n": [1] * 6}
        )
        X = X.toarray() if sparse else X
        places = [row[:4].argmax() if row[:4].any() else -1 for row in X]
        assert places == [-1, -1, 0, 2, 2, 3] and counts.unseen == {"town": 1}
    old = encoder.to_dict()
    del old["columns"][0]["base"]  # as versions before wrote it
    assert TableEncoder.from_dict(old).columns_[0].base is None


def test_a_dict_names_the_levels_that_others_are_compared_with():
    """As R's relevel; columns that it does not name are compared with their first level."""
    frame = {"town": ["Rom", "Bern", "Oslo"] * 10, "size": ["S", "L"] * 15, "n": [1.0, 2.5, 2.0] * 10}
    encoder = TableEncoder(drop_first={"town": "Oslo"}).fit(frame)
    assert encoder.get_feature_names_out().tolist() == ["town=Bern", "town=Rom", "size=S", "n"]
    assert TableEncoder(drop_first={}).fit(frame).get_feature_names_out().tolist() == [
        "town=Oslo", "town=Rom", "size=S", "n",
    ]  # fmt: skip
    row = {"town": ["Oslo", "Rom"], "size": ["L", "S"], "n": [3.0, 4.0]}
    again = TableEncoder.from_dict(json.loads(json.dumps(encoder.to_dict())))
    assert again.transform(row).tolist() == [[0, 0, 0, 3], [0, 1, 1, 4]]
    for wrong, told in (
        ({"town": "Paris"}, "no level 'Paris' .*'Bern', 'Oslo', 'Rom'"),
        ({"n": "1.0"}, "column 'n' is double, without levels .*--categorical"),
        ({"twon": "Rom"}, "`drop_first` has 'twon'"),
        ("first", "`drop_first` is 'first'; expected True, False, or a dict of columns"),
    ):
        with pytest.raises(ValueError, match=told):
            TableEncoder(drop_first=wrong).fit(frame)
