"""Labels that are strings or categories, in any container, have the classes and codes that a sort gives."""

import numpy as np
import pytest

from logreg_accel import LogisticRegression, fit_many, scan
from logreg_accel.data import as_labelled, as_labels, encoded
from logreg_accel.data.labels import encode_labels


@pytest.mark.parametrize("dtype", ["U", object])
@pytest.mark.parametrize("count", [2, 5, 9, 300])
def test_strings_that_repeat_are_encoded_like_sorted_ones(dtype, count):
    rng = np.random.default_rng(count)
    names = np.array([f"c{i % 7}{'ä' * (i % 3)}{i}" for i in range(count)])
    y = rng.choice(names, 2000).astype(dtype)
    classes, codes, _ = encode_labels(y)
    expected, inverse = np.unique(y, return_inverse=True)
    assert classes.dtype == expected.dtype and codes.dtype.kind == "u"
    assert classes.tolist() == expected.tolist() and codes.tolist() == inverse.tolist()
    if dtype is object:
        y[77] = None
        with pytest.raises(ValueError, match="row 77"):
            encode_labels(y)
    with pytest.raises(ValueError, match="only one class"):
        encode_labels(np.full(2000, "a", dtype=dtype))


def _labels_of(kind, labels):
    pa, pd = pytest.importorskip("pyarrow"), pytest.importorskip("pandas")
    arrow = {"arrow": pa.array, "chunked": lambda y: pa.chunked_array([y[:7], y[7:]])}
    if kind in arrow:
        return arrow[kind](labels)
    if kind == "arrow dictionary":
        return pa.array(labels).dictionary_encode()
    return pd.Series(labels, dtype=kind)


@pytest.mark.parametrize("kind", ["category", "str", "string", "arrow", "chunked", "arrow dictionary"])
def test_strings_of_pandas_and_arrow_are_labels(kind):
    names = np.array(["no", "yes", "perhaps"], dtype=object)[np.arange(100) % 3]
    classes, codes, _ = encode_labels(as_labels(_labels_of(kind, names.tolist())))
    expected, expected_codes, _ = encode_labels(names)
    assert classes.tolist() == expected.tolist()
    assert codes.tolist() == expected_codes.tolist()
    with pytest.raises(ValueError, match="missing"):
        encode_labels(as_labels(_labels_of(kind, [*names[1:].tolist(), None])))


@pytest.mark.parametrize("kind", ["list", "tuple", "object", "U", "U0", "category", "str", "arrow", "polars"])
@pytest.mark.parametrize("order", ["mixed", "sorted"])
def test_strings_of_any_kind_have_the_classes_and_codes_of_a_sort(kind, order):
    """Counts are the same, too; unused categories, and classes that a sample of the labels lacks, change
    nothing."""
    names = np.array(["b", "ä", "abc", "c"], dtype=object)[np.random.default_rng(0).integers(0, 3, 5000)]
    names[4321] = "c"
    names = np.sort(names) if order == "sorted" else names
    made = {"list": list, "tuple": tuple, "object": np.array, "U": lambda y: np.array(y, dtype=str)}
    if kind == "U0":
        names[names == "b"] = ""
        y = names.astype(str)
    elif kind == "polars":
        y = pytest.importorskip("polars").Series(names.tolist())
    elif kind == "category":
        pd = pytest.importorskip("pandas")
        y = pd.Series(pd.Categorical(names.tolist(), categories=["unused", "c", "b", "abc", "ä"]))
    else:
        y = made[kind](names.tolist()) if kind in made else _labels_of(kind, names.tolist())
    classes, codes, counts = encoded(y)
    expected, inverse, sizes = np.unique(names, return_inverse=True, return_counts=True)
    assert classes.tolist() == expected.tolist() and codes.tolist() == inverse.tolist()
    assert codes.dtype == np.uint8 and codes.flags.writeable and list(counts) == sizes.tolist()


@pytest.mark.parametrize("kind", ["list", "object", "category", "str", "arrow", "polars"])
def test_strings_that_cannot_be_labels_are_refused_as_before(kind):
    def made(labels):
        if kind == "polars":
            return pytest.importorskip("polars").Series(labels)
        own = {"list": list, "object": lambda y: np.array(y, dtype=object)}
        return own[kind](labels) if kind in own else _labels_of(kind, labels)

    with pytest.raises(ValueError, match="only one class"):
        encoded(made(["a"] * 200))
    if kind != "list":  # of which NumPy makes the string "None"
        with pytest.raises(ValueError, match="missing"):
            encoded(made(["a", "b"] * 100 + [None]))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        as_labelled(np.ones((199, 2)), made(["a", "b"] * 100))


def test_categories_that_are_numbers_are_labels_as_numbers():
    pa, pd = pytest.importorskip("pyarrow"), pytest.importorskip("pandas")
    numbers = np.array([30, 10, 20])[np.arange(90) % 3]
    for y in (pd.Series(numbers).astype("category"), pa.array(numbers), pa.chunked_array([numbers])):
        classes, codes, _ = encode_labels(as_labels(y))
        assert classes.dtype.kind == "i" and classes.tolist() == [10, 20, 30]
        assert (classes[codes] == numbers).all()


@pytest.mark.parametrize(
    "dtype", ["int8", "uint8", "int16", "uint16", ">i4", "int64", "uint64", "float16", "float32", "float64"]
)
@pytest.mark.parametrize("labels", [(0, 1, 2), (-100, 3, 27, 100), (5, 6, 9, 2048), (1, 2, 3, 70_000), "far"])
def test_numbers_have_the_classes_codes_and_counts_of_a_sort(dtype, labels):
    dtype = np.dtype(dtype)
    whole = dtype.kind in "iu"
    info = np.iinfo(dtype) if whole else np.finfo(dtype)
    if labels == "far":
        top = int(info.max) if whole else 2.0**15 if dtype.itemsize == 2 else 2.0**64
        labels = (top - 64, top - 32, top) if whole else (top / 4, top / 2, top)
    kept = [label for label in labels if float(info.min) <= label <= float(info.max)]
    y = np.random.default_rng(0).choice(np.array(kept, dtype=dtype), 3000)
    expected, expected_codes, expected_counts = np.unique(y, return_inverse=True, return_counts=True)
    classes, codes, counts = encode_labels(y)
    assert classes.dtype == dtype and codes.dtype == np.min_scalar_type(len(expected) - 1)
    np.testing.assert_array_equal(classes, expected)
    np.testing.assert_array_equal(codes, expected_codes)
    assert counts is None or list(counts) == list(expected_counts)


@pytest.mark.parametrize("y", [np.arange(40), np.linspace(0, 1, 40), np.repeat([1.5, 2.5, 3.5], 9)])
def test_numbers_that_may_be_no_labels_are_treated_as_before(y):
    """scikit-learn judges more classes than half the rows, and fractions are a regression target."""
    if y.dtype.kind == "f":
        with pytest.raises(ValueError, match="Unknown label type|continuous"):
            encode_labels(y)
    else:
        with pytest.warns(UserWarning, match="unique classes"):
            encode_labels(y)


def test_labels_of_several_types_are_named():
    y = np.array(["a", 1, "b", 1, "a"], dtype=object)
    with pytest.raises(ValueError, match=r"types int, str, which have no common order; .*list\(map\(str, y"):
        encode_labels(y)
    y = np.array(["a", np.str_("b"), "a", "b"], dtype=object)
    assert encode_labels(y)[0].tolist() == ["a", "b"]


@pytest.mark.parametrize("rows", [40, 400])
@pytest.mark.parametrize("kind", ["object", "U", "list", "str", "arrow"])
def test_names_of_missing_values_are_labels_like_any_text(kind, rows):
    """Namibia's code is NA; a label is missing only where its value is."""
    y = np.array(["nan", "NaT", "<NA>", "None"], dtype=object)[np.arange(rows) % 4]
    made = {"object": np.array, "U": lambda y: np.array(y, dtype=str), "list": list}
    labels = made[kind](y.tolist()) if kind in made else _labels_of(kind, y.tolist())
    classes, codes, _ = encoded(labels)
    assert classes.tolist() == ["<NA>", "NaT", "None", "nan"]
    assert classes[codes].tolist() == y.tolist()


def test_names_of_missing_values_are_labels_of_a_source():
    X = np.random.default_rng(0).normal(size=(60, 2))
    y = np.array(["nan", "NA"], dtype=object)[np.arange(60) % 2]
    source = scan(lambda: iter([(X[:30], y[:30]), (X[30:], y[30:])]))
    assert LogisticRegression().fit(source).classes_.tolist() == ["NA", "nan"]
    y[7] = None
    with pytest.raises(ValueError, match="no label.*row 7"):
        LogisticRegression().fit(source)


@pytest.mark.parametrize("strange", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("labels", [(0.0,), (0.0, 1.0), (0.0, 1.0, 2.0)])
def test_infinity_is_no_class(labels, strange):
    y = np.tile([*labels, strange], 9)
    with pytest.raises(ValueError, match=f"NaN or infinity, first in row {len(labels)}"):
        encoded(y)


@pytest.mark.parametrize("unit", ["D", "s", "us", "ns"])
def test_class_weights_of_dates_are_used(unit):
    X = np.random.default_rng(0).normal(size=(90, 2))
    codes = np.arange(90) % 3
    days = np.array(["2020-01-01", "2021-01-01", "2022-01-01"], dtype=f"M8[{unit}]")
    expected = LogisticRegression(class_weight={1: 5.0}).fit(X, codes)
    found = LogisticRegression(class_weight={days[1]: 5.0}).fit(X, days[codes])
    np.testing.assert_array_equal(found.coef_, expected.coef_)
    assert (found.classes_ == days).all()


@pytest.mark.parametrize("unit", ["D", "us", "ns"])
def test_dates_are_labels_of_sources_of_many_models_and_of_no_document(unit):
    """Python has no dates in nanoseconds: NumPy makes integers of them."""
    X = np.random.default_rng(0).normal(size=(90, 2))
    codes = np.arange(90) % 3
    days = np.array(["2020-01-01", "2021-01-01", "2022-01-01"], dtype=f"M8[{unit}]")
    y, expected = days[codes], LogisticRegression(class_weight={1: 5.0}).fit(X, codes)
    for given in (None, days):
        source = scan(lambda: iter([(X[:40], y[:40]), (X[40:], y[40:])]), classes=given)
        found = LogisticRegression(class_weight={days[1]: 5.0}).fit(source)
        assert (found.classes_ == days).all() and (found.predict(X) == days[expected.predict(X)]).all()
    targets = np.column_stack([y, y])
    targets[:7, 1] = np.datetime64("NaT")
    first, second = fit_many(X, targets, class_weight={days[1]: 5.0})
    np.testing.assert_allclose(first.coef_, expected.coef_, rtol=1e-4)
    assert second.coef_.tolist() != first.coef_.tolist() and (second.classes_ == days).all()
    np.testing.assert_allclose(first.fit(X, y).coef_, expected.coef_, rtol=1e-4)
    with pytest.raises(ValueError, match="dtype datetime64.*Encode the labels"):
        first.to_dict()


def test_class_weights_may_name_classes_that_the_rows_lack():
    """As the rows of a split may; but where a class has no weight, a name that is unknown is misspelt."""
    X, y = np.random.default_rng(0).normal(size=(40, 2)), np.arange(40) % 2
    more = LogisticRegression(class_weight={0: 1.0, 1: 2.0, 2: 3.0}).fit(X, y)
    just = LogisticRegression(class_weight={0: 1.0, 1: 2.0}).fit(X, y)
    np.testing.assert_array_equal(more.coef_, just.coef_)
    with pytest.raises(ValueError, match=r"`class_weight` has labels that are not in `y`: \['1'\]"):
        LogisticRegression(class_weight={0: 1.0, "1": 2.0}).fit(X, y)
