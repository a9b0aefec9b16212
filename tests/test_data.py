"""What comes in: every kind of input gives the answer of the plain array, and bad input is told clearly."""

import numpy as np
import pytest
import scipy.sparse

from conftest import DTYPES, LAYOUTS, _memory_mapped, backends_and, draw
from logreg_accel import LogisticRegression
from logreg_accel.data import as_array, as_labelled, as_labels, compute_dtype
from logreg_accel.data.matrix import Matrix

X, Y, S, _ = draw(80, 4, weighted=True)


def pandas_frame():
    return pytest.importorskip("pandas").DataFrame(X, columns=list("abcd"))


def pandas_arrow_frame():
    pytest.importorskip("pyarrow")
    return pandas_frame().convert_dtypes(dtype_backend="pyarrow").astype("double[pyarrow]")


def polars_frame():
    return pytest.importorskip("polars").DataFrame(X, schema=list("abcd"))


def arrow_table():
    pa = pytest.importorskip("pyarrow")
    return pa.table({name: X[:, j] for j, name in enumerate("abcd")})


class OnlyArrowStream:
    """An object that speaks nothing but the Arrow PyCapsule protocol."""

    def __arrow_c_stream__(self, requested_schema=None):
        return arrow_table().__arrow_c_stream__(requested_schema)


class OnlyDLPack:
    """An object that speaks nothing but DLPack."""

    shape = X.shape

    def __dlpack__(self, **options):
        return X.__dlpack__(**options)

    def __dlpack_device__(self):
        return X.__dlpack_device__()


class LikeTorch(OnlyDLPack):
    """A tensor that must be detached before it exports anything."""

    def __dlpack__(self, **options):
        raise RuntimeError("Can't export tensors that require gradient, use tensor.detach()")

    def detach(self):
        return OnlyDLPack()


def array_api_strict_array():
    return pytest.importorskip("array_api_strict").asarray(X)


INPUTS = {
    "list of lists": X.tolist,
    "objects that are numbers": lambda: X.astype(object),
    "matrix subclass": lambda: X.view(type("Sub", (np.ndarray,), {})),
    "pandas": pandas_frame,
    "pandas on Arrow": pandas_arrow_frame,
    "polars": polars_frame,
    "polars, lazy": lambda: polars_frame().lazy(),
    "pyarrow table": arrow_table,
    "pyarrow reader": lambda: arrow_table().to_reader(),
    "Arrow stream": OnlyArrowStream,
    "DLPack": OnlyDLPack,
    "tensor with gradient": LikeTorch,
    "array API": array_api_strict_array,
}


@pytest.mark.parametrize("kind", INPUTS)
def test_every_kind_of_input_gives_the_same_answer(kind):
    expected = LogisticRegression().fit(X, Y)
    clf = LogisticRegression().fit(INPUTS[kind](), Y)
    np.testing.assert_allclose(clf.coef_, expected.coef_, rtol=1e-12)
    np.testing.assert_allclose(
        clf.decision_function(INPUTS[kind]()), expected.decision_function(X), rtol=1e-9
    )
    assert clf.n_features_in_ == 4


@pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow"])
def test_labels_and_weights_as_columns(kind):
    module = pytest.importorskip(kind)
    y, s = {
        "pandas": lambda: (module.Series(Y), module.Series(S)),
        "polars": lambda: (module.Series(Y), module.Series(S)),
        "pyarrow": lambda: (module.chunked_array([Y]), module.chunked_array([S])),
    }[kind]()
    np.testing.assert_array_equal(
        LogisticRegression().fit(X, y, s).coef_, LogisticRegression().fit(X, Y, S).coef_
    )


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["numpy", "numba"])
def test_every_layout_gives_the_same_answer(layout, name):
    laid = LAYOUTS[layout](X)
    clf = LogisticRegression(backend=name).fit(laid, Y)
    np.testing.assert_allclose(clf.coef_, LogisticRegression().fit(X, Y).coef_, rtol=1e-9)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_no_copy_of_an_array(layout):
    laid = LAYOUTS[layout](X)
    assert np.shares_memory(as_labelled(laid, Y).block.X.stored, laid)


def test_no_copy_through_dlpack():
    assert np.shares_memory(as_array(OnlyDLPack()), X)


@pytest.mark.parametrize("name", ["numpy", "numba"])
def test_a_memory_mapped_array_is_read_in_place(tmp_path, name):
    mapped = _memory_mapped(X, tmp_path)
    clf = LogisticRegression(backend=name).fit(mapped, Y)
    np.testing.assert_allclose(clf.coef_, LogisticRegression().fit(X, Y).coef_, rtol=1e-9)
    assert np.shares_memory(as_array(mapped), mapped)


@pytest.mark.parametrize("name, dtype", [case for case in backends_and(DTYPES) if case.values[0] != "cupy"])
def test_every_dtype_gives_the_answer_of_its_values(name, dtype):
    A, y, _, _ = draw(300, 5, dtype)
    clf = LogisticRegression(backend=name).fit(A, y)
    expected = LogisticRegression(backend="numpy").fit(A.astype(np.float64), y)
    single = compute_dtype(A.dtype) == np.float32
    np.testing.assert_allclose(clf.coef_, expected.coef_, atol=1e-4 if single else 1e-12)
    assert clf.coef_.dtype == (
        np.float32 if A.dtype.name in ("float32", "float16", "bfloat16") else np.float64
    )


def test_arithmetic_of_a_dtype():
    names = {
        "float64": "float64",
        "float32": "float32",
        "float16": "float32",
        "uint8": "float32",
        "int8": "float32",
        "bool": "float32",
        "bfloat16": "float32",
        "int16": "float64",
        "uint16": "float64",
        "int64": "float64",
        "longdouble": "float64",
    }
    assert {name: compute_dtype(np.dtype(name)).name for name in names} == names


BAD_X = {
    "one-dimensional": (X[:, 0], ValueError, "Expected 2D array"),
    "three-dimensional": (X[None], ValueError, "dim 3|3D|3 dims"),
    "no rows": (X[:0], ValueError, "0 sample"),
    "no columns": (X[:, :0], ValueError, "0 feature"),
    "complex": (X + 1j, ValueError, "Complex data not supported"),
    "text": (X.astype(str).astype(object)[:, :2] + "a", ValueError, "could not convert"),
    "words": (X[:-1, :2].astype(str).tolist() + [["1", "b"]], ValueError, "text.*'b'.*TableEncoder"),
    "a dict": ({"a": 1}, ValueError, "one object, of type dict. Give an array, a frame"),
    "a path": ("rows.csv", ValueError, r"one object, of type str.*`scan\(...\)` for files"),
    "None": (None, ValueError, "one object, of type NoneType"),
    "masked": (np.ma.masked_where(X > 1, X), ValueError, "masked entries"),
    "dates": (X.astype("datetime64[s]"), (TypeError, ValueError), "dtype|expected real numbers"),
}


@pytest.mark.parametrize("kind", BAD_X)
def test_x_that_cannot_be_used_is_refused(kind):
    bad, error, words = BAD_X[kind]
    with pytest.raises(error, match=words):
        LogisticRegression().fit(bad, Y[: len(bad)] if hasattr(bad, "shape") and len(bad) else Y)


def test_texts_that_spell_numbers_are_numbers():
    """Arrays of strings, bytes and objects are accepted, as by scikit-learn's class."""
    expected = LogisticRegression().fit(X, Y).coef_
    for dtype in ("U32", "S32", object):
        np.testing.assert_array_equal(
            LogisticRegression().fit(X.astype(str).astype(dtype), Y).coef_, expected
        )


@pytest.mark.parametrize(
    "frame",
    [
        lambda: pytest.importorskip("pandas").DataFrame({"age": [1.0, 2], "city": ["a", "b"]}),
        lambda: pytest.importorskip("polars").DataFrame({"age": [1.0, 2], "city": ["a", "b"]}),
        lambda: pytest.importorskip("pyarrow").table({"age": [1.0, 2], "city": ["a", "b"]}),
    ],
)
def test_text_columns_are_refused_by_name(frame):
    with pytest.raises(TypeError, match="columns that are not numbers: 'city'.*OneHotEncoder"):
        LogisticRegression().fit(frame(), [0, 1])


def test_a_frame_of_sparse_columns_stays_sparse():
    pandas = pytest.importorskip("pandas")
    dense = np.where(abs(X) > 0.5, X, 0.0)
    frame = pandas.DataFrame(dense, columns=list("abcd")).astype(pandas.SparseDtype("float64", 0.0))
    assert scipy.sparse.issparse(as_array(frame))
    clf, expected = LogisticRegression().fit(frame, Y), LogisticRegression().fit(dense, Y)
    assert clf.feature_names_in_.tolist() == list("abcd")
    np.testing.assert_allclose(clf.coef_, expected.coef_, rtol=1e-6)
    np.testing.assert_allclose(clf.predict_proba(frame), expected.predict_proba(dense), rtol=1e-6)


@pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow"])
def test_one_column_in_place_of_a_table(kind):
    module = pytest.importorskip(kind)
    column = module.chunked_array([X[:, 0]]) if kind == "pyarrow" else module.Series(X[:, 0])
    clf = LogisticRegression().fit(X[:, :1], Y)
    for method in (lambda: LogisticRegression().fit(column, Y), lambda: clf.predict(column)):
        with pytest.raises(
            ValueError, match=rf"Expected 2D array.*{kind}.*{type(column).__name__}.*to_frame"
        ):
            method()


def test_names_of_arrow_batches_are_seen():
    table = arrow_table()
    clf = LogisticRegression().fit(table.to_batches()[0], Y)
    assert clf.feature_names_in_.tolist() == list("abcd")
    with pytest.raises(ValueError, match="feature names"):
        clf.predict(table.select(list("dcba")).to_reader())


def test_missing_values_of_a_table_are_named():
    pa = pytest.importorskip("pyarrow")
    frame = pandas_arrow_frame()
    frame.iloc[5, 2] = None
    with pytest.raises(ValueError, match=r"NaN: first at row 5, column 2 \('c'\)"):
        LogisticRegression().fit(frame, Y)
    with pytest.raises(ValueError, match=r"NaN: first at row 1, column 0 \('a'\)"):
        LogisticRegression().fit(pa.table({"a": [1.0, None, 3.0], "b": [1.0, 2.0, 3.0]}), [0, 1, 1])
    for frame in (pa.table, pytest.importorskip("polars").DataFrame):
        with pytest.raises(ValueError, match=r"NaN: first at row 1, column 1 \('b'\)"):
            LogisticRegression().fit(frame({"a": [1, 2, 3], "b": [True, None, False]}), [0, 1, 1])


BAD_Y = {
    "one class": (np.zeros(80), "only one class, 0.0;"),
    "floats": (np.linspace(0, 1, 80), "Unknown label type: continuous"),
    "two floats": (np.where(Y, 0.5, 1.5), "Unknown label type: continuous"),
    "NaN": (np.where(Y, 1.0, np.nan), "NaN"),
    "too short": (Y[:-1], "inconsistent numbers of samples"),
    "empty": (Y[:0], "0 sample"),
    "two columns": (np.column_stack([Y, Y]), "1d array"),
    "None": (None, "requires y to be passed.*one label per row"),
    "infinite": (np.where(Y, np.inf, 0.0), "infinity"),
    "no date": (np.where(Y, np.datetime64("2020-01-01"), np.datetime64("NaT")), "NaT"),
    "missing text": (np.where(Y, "a", None), "missing label"),
    "masked": (np.ma.masked_where(Y == 1, Y), "masked"),
}


@pytest.mark.parametrize("kind", BAD_Y)
def test_labels_that_cannot_be_used_are_refused(kind):
    bad, words = BAD_Y[kind]
    with pytest.raises(ValueError, match=words):
        LogisticRegression().fit(X, bad)


BAD_WEIGHTS = {
    "negative": (np.where(np.arange(80) == 7, -1.0, 1.0), "not negative.*row 7"),
    "NaN": (np.where(np.arange(80) == 3, np.nan, 1.0), "finite.*row 3"),
    "infinite": (np.where(np.arange(80) == 3, np.inf, 1.0), "finite"),
    "all zero": (np.zeros(80), "every entry of `sample_weight` is zero"),
    "too short": (np.ones(79), r"shape \(79,\)"),
    "two columns": (np.ones((80, 2)), "shape"),
    "complex": (np.ones(80) * 1j, "`sample_weight` must be real numbers.*complex128"),
    "a complex number": (2 + 1j, "`sample_weight` must be real numbers.*complex128"),
    "complex objects": (np.full(80, 1j, dtype=object), "`sample_weight` must be real numbers.*complex"),
    "dates": (np.ones(80, dtype="datetime64[s]"), r"real numbers.*datetime64\[s\]"),
    "text": (["heavy"] * 80, "real numbers.*heavy"),
    "one class left": (np.where(Y, 1.0, 0.0), "only one class among the samples with a positive weight"),
}


@pytest.mark.parametrize("kind", BAD_WEIGHTS)
def test_weights_that_cannot_be_used_are_refused(kind):
    bad, words = BAD_WEIGHTS[kind]
    with pytest.raises(ValueError, match=words):
        LogisticRegression().fit(X, Y, bad)


def test_a_number_as_weight():
    np.testing.assert_allclose(
        LogisticRegression().fit(X, Y, 2.0).coef_, LogisticRegression(C=2.0).fit(X, Y).coef_, rtol=1e-9
    )


def test_column_of_labels_warns():
    with pytest.warns(UserWarning, match="column-vector"):
        assert as_labels(Y[:, None]).shape == (80,)


@pytest.mark.parametrize("bad, word", [(np.nan, "NaN"), (-np.inf, "infinity")])
@pytest.mark.parametrize("method", ["predict", "predict_proba", "decision_function"])
def test_nonfinite_values_in_predict(method, bad, word):
    clf = LogisticRegression().fit(X, Y)
    spoilt = X.copy()
    spoilt[5, 2] = bad
    with pytest.raises(ValueError, match=f"{word}: first at row 5, column 2;"):
        getattr(clf, method)(spoilt)
    named = LogisticRegression().fit(pandas_frame(), Y)
    with pytest.raises(ValueError, match=rf"{word}: first at row 5, column 2 \('c'\);"):
        getattr(named, method)(pandas_frame().mask(spoilt != X, bad))


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("solver", ["newton-cholesky", "row-space", "sgd"])
def test_a_column_that_is_not_finite_is_named(backend, solver):
    frame = pandas_frame().mask(np.arange(320).reshape(80, 4) == 42)
    clf = LogisticRegression(solver=solver, backend=backend)
    for method in (clf.fit, lambda *a: clf.partial_fit(*a, classes=[0, 1]))[: 1 + (solver == "sgd")]:
        with pytest.raises(ValueError, match=r"`X` contains NaN: first at row 10, column 2 \('c'\)\."):
            method(frame, Y)
    with pytest.raises(ValueError, match=r"row 10, column 2\."):
        clf.fit(frame.to_numpy(), Y)


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("order", LAYOUTS)
@pytest.mark.parametrize("n", [0, 1, 2, 3, 4])
def test_the_weighted_gram_matrix_of_few_columns(n, order, positive):
    rng = np.random.default_rng(n)
    X, c = rng.standard_normal((1000, n)), rng.standard_normal((1000, 1))
    c = abs(c) if positive else c
    found = Matrix(LAYOUTS[order](X.astype(np.float32))).weighted_gram(c.astype(np.float32), positive)
    rounding = np.sqrt(1000) * np.finfo(np.float32).eps * float((X * X * abs(c)).sum())
    np.testing.assert_allclose(found, X.T @ (X * c), rtol=0, atol=rounding)


def test_a_pandas_frame_with_some_sparse_columns_becomes_dense():
    pd = pytest.importorskip("pandas")
    X = np.eye(6, 3)
    frame = pd.DataFrame(X, columns=["a", "b", "c"]).astype({"a": "Sparse[float64]", "c": "Sparse[int64, 0]"})
    np.testing.assert_array_equal(as_array(frame), X)
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    for left_out in (np.nan, 1.0):  # NaN is what pandas leaves out unless told otherwise
        found = as_array(frame.astype(pd.SparseDtype("float64", left_out)))
        np.testing.assert_array_equal(found, X)


def test_a_sparse_matrix_of_float16_is_read_as_float32():
    A = scipy.sparse.csr_array(np.where(abs(X) > 0.5, X, 0.0).astype(np.float32))
    A.data = A.data.astype(np.float16)
    clf, expected = LogisticRegression().fit(A, Y), LogisticRegression().fit(A.astype(np.float32), Y)
    np.testing.assert_array_equal(clf.coef_, expected.coef_)
    np.testing.assert_array_equal(clf.predict_proba(A), expected.predict_proba(A.astype(np.float32)))


def test_columns_of_one_name_are_told():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(np.eye(4, 3), columns=["a", "a", "c"])
    with pytest.raises(ValueError, match="`X` has two columns of one name: 'a'. Rename one of them"):
        LogisticRegression().fit(frame, [0, 1, 0, 1])
