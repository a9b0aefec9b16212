"""Tables that are read from files and written to them: what is no table is told, nothing is guessed."""

import csv
import decimal
import json
import sys
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from command_line import X, Y, run, write
from sklearn.datasets import dump_svmlight_file

from logreg_accel import LogisticRegression, load, read_file, scan
from logreg_accel.data.tables import harmless, table_writer

# -- columns by name or number -------------------------------------------------------------------------------


@pytest.fixture
def models(tmp_path, capsys):
    """Saved models of the same columns with names and without."""
    named, plain = tmp_path / "named", tmp_path / "plain"
    run("train", write(tmp_path / "x.csv"), "--target", "t", "--drop", "w", "--model", named, "--quiet")
    run("train", write(tmp_path / "x.npy"), "--target", "3", "--model", plain, "--quiet")
    capsys.readouterr()
    return named, plain


def of_features(path, A):
    """Features alone in a file without names."""
    if path.suffix == ".npy":
        np.save(path, A)
    elif path.suffix == ".npz":
        np.savez(path, X=A)
    else:
        dump_svmlight_file(A, np.zeros(len(A)), str(path), zero_based=False)
    return path


@pytest.mark.parametrize("name", ["new.npy", "new.npz", "new.svm"])
def test_a_model_with_names_takes_no_columns_by_position(tmp_path, capsys, models, name):
    named, plain = models
    path = of_features(tmp_path / name, X)
    code, out, err = run("predict", path, "--model", named, capsys=capsys)
    assert code == 3 and out == "" and name in err and "'a'" in err and "no names" in err
    code, out, err = run("predict", path, "--model", plain, "--json", capsys=capsys)
    assert code == 0 and json.loads(out)["prediction"] == load(plain).predict(X).tolist()


@pytest.mark.parametrize("columns", [2, 4])
@pytest.mark.parametrize("name", ["new.npy", "new.npz", "new.svm"])
def test_the_number_of_columns_is_checked(tmp_path, capsys, models, name, columns):
    path = of_features(tmp_path / name, np.ones((5, columns)))
    code, out, err = run("predict", path, "--model", models[1], capsys=capsys)
    if name.endswith(".svm") and columns == 2:  # its rows just have no entry in the last column
        assert code == 0
    else:
        assert code == 3 and out == "" and f"{columns} columns of features; expected 3" in err


def test_more_columns_than_a_model_without_names_knows(tmp_path, capsys, models):
    code, _, err = run("predict", tmp_path / "x.csv", "--model", models[1], capsys=capsys)
    assert code == 3 and "x.csv' has 5 columns of features; expected 3" in err


def test_columns_of_an_array_are_taken_by_their_numbers(tmp_path):
    np.save(tmp_path / "x.npy", X)
    table = read_file(tmp_path / "x.npy", features=["2", "0"], target="-2")
    np.testing.assert_array_equal(table.X, X[:, [2, 0]])
    np.testing.assert_array_equal(table.target, X[:, 1])
    with pytest.raises(ValueError, match="no column 'b'.*no names but the numbers 0 to 2"):
        read_file(tmp_path / "x.npy", features=["b"])
    with pytest.raises(ValueError, match="0 columns|expected 2"):
        read_file(tmp_path / "x.npy", features=["1"], n_features=2)


def test_columns_of_an_array_may_be_whole_numbers(tmp_path):
    """They were taken for texts, which raised an AttributeError."""
    np.save(tmp_path / "x.npy", X)
    table = read_file(tmp_path / "x.npy", features=[2], target=-2, drop=[0])
    np.testing.assert_array_equal(table.X, X[:, [2]])
    np.testing.assert_array_equal(table.target, X[:, 1])
    [piece] = scan(tmp_path / "x.npy", features=[2, 0], target=1).pieces()
    np.testing.assert_array_equal(piece.chunk.X, X[:, [2, 0]])


def test_a_stray_truth_among_numbers_is_told_with_its_line(tmp_path):
    """Far behind the first block of the file; of a column of texts, the first value is told."""
    lines = ["a,b,y", *(f"{i},0.5,{i % 2}" for i in range(100_000)), "7,True,1", "8,0.5,0"]
    (tmp_path / "x.csv").write_text("\n".join(lines))
    with pytest.raises(TypeError, match="x.csv', the first value of 'b' .* is 'True', in line 100002"):
        read_file(tmp_path / "x.csv", target="y")
    (tmp_path / "t.csv").write_text("a,b,y\n1,Rom,0\n2,Oslo,1\n")
    with pytest.raises(
        TypeError, match="TableEncoder.*t.csv', the first value of 'b' .* is 'Rom', in line 2"
    ):
        read_file(tmp_path / "t.csv", target="y")


def test_only_the_arrays_that_are_asked_for_are_read_from_an_archive(tmp_path):
    """Others may be larger than the memory, or have Python objects, which are not loaded."""
    path = tmp_path / "x.npz"
    np.savez(path, X=X, y=Y, other=np.array([{}], dtype=object), large=np.zeros(1 << 21))
    tracemalloc.start()
    try:
        table = read_file(path, target="y")
        taken = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (table.X == X).all() and (table.target == Y).all() and taken < 1 << 24
    with pytest.raises(ValueError, match="has no column 'z'.* It has: X, y, other, large"):
        read_file(path, target="z")


@pytest.mark.parametrize("kind", ["csv", "npy"])
def test_labels_are_not_among_the_features(tmp_path, kind):
    """A model that is fitted to its labels looks perfect and is worthless."""
    path, names = tmp_path / f"x.{kind}", ["a", "b", "c"] if kind == "csv" else [0, 1, 2]
    pd.DataFrame(X, columns=names).to_csv(path, index=False) if kind == "csv" else np.save(path, X)
    for labels in ({"target": names[1]}, {"weight": names[1]}):
        with pytest.raises(ValueError, match="`features` has the column .* of `target` or `weight`"):
            scan(path, features=names, **labels)
        with pytest.raises(ValueError, match="`features` has the column .* of `target` or `weight`"):
            read_file(path, features=names, **labels)
    if kind == "npy":
        with pytest.raises(ValueError, match="`features` has the column 1"):
            list(scan(path, features=[0, 1], target=-2).pieces())


# -- numbers and text ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale, labels", [(0, [0, 1, 1]), (2, [0.0, 1.0, 1.0])])
def test_decimal_columns(tmp_path, scale, labels):
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table = pa.table(
        {
            "a": pa.array(map(decimal.Decimal, ["1.5", "2.25", "3"]), pa.decimal128(12, 2)),
            "b": pa.array([1.0, 2.0, 4.0]),
            "w": pa.array(map(decimal.Decimal, ["1", "2", "0.5"]), pa.decimal128(38, 4)),
            "t": pa.array(map(decimal.Decimal, [0, 1, 1]), pa.decimal128(10, scale)),
        }
    )
    parquet.write_table(table, tmp_path / "x.parquet")
    read = read_file(tmp_path / "x.parquet", target="t", weight="w")
    assert read.X.tolist() == [[1.5, 1.0], [2.25, 2.0], [3.0, 4.0]] and read.X.dtype == np.float64
    assert repr(read.target.tolist()) == repr(labels) and read.weight.tolist() == [1.0, 2.0, 0.5]


@pytest.mark.parametrize("kind", ["pyarrow", "polars", "pandas", "pandas on Arrow"])
def test_decimals_of_a_frame(kind):
    pa = pytest.importorskip("pyarrow")
    values = [decimal.Decimal(f"{x:.3f}") for x in X[:, 0]]
    frame = pa.table({"a": values, "b": X[:, 1]})
    if kind == "polars":
        frame = pytest.importorskip("polars").from_arrow(frame)
    elif kind != "pyarrow":
        pd = pytest.importorskip("pandas")
        frame = frame.to_pandas(types_mapper=pd.ArrowDtype if "Arrow" in kind else None)
    expected = LogisticRegression().fit(np.column_stack([X[:, 0].round(3), X[:, 1]]), Y)
    np.testing.assert_allclose(LogisticRegression().fit(frame, Y).coef_, expected.coef_, rtol=1e-12)


TEXTS = {
    "NUL in a number": (b"a,b,t\n1,2,0\n3,4\0,1\n5,6,1\n", "NUL byte in line 3"),
    "NUL before a number": (b"a,b,t\n1,2,0\n3,\0004,1\n5,6,1\n", "NUL byte in line 3"),
    "NUL in the header": (b"a\0,b,t\n1,2,0\n3,4,1\n", "NUL byte in line 1"),
    "NUL far from the start": (b"a,b,t\n" + b"1,2,0\n3,4,1\n" * 9999 + b"1,\0,1\n", "NUL byte in line 20000"),
    "UTF-16": ("a,b,t\n1,2,0\n3,4,1\n".encode("utf-16"), "text in UTF-16; expected UTF-8: iconv -f UTF-16"),
    "UTF-16, big": (b"\xfe\xff" + "a,t\n1,0\n".encode("utf-16-be"), "text in UTF-16"),
    "UTF-16 without a mark": ("a,ü,t\n1,2,0\n".encode("utf-16-le"), "NUL byte in line 1.*UTF-16"),
    "UTF-32": ("a,b,t\n1,2,0\n".encode("utf-32"), "text in UTF-32"),
    "Latin-1 in the header": ("a,ü,t\n1,2,0\n3,4,1\n".encode("latin-1"), "0xfc in line 1.*LATIN1"),
    "Latin-1 in a label": ("a,b,t\n1,2,ja\n3,4,nö\n".encode("latin-1"), "0xf6 in line 3.*LATIN1"),
}


@pytest.mark.parametrize("reader", ["pyarrow", "numpy"])
@pytest.mark.parametrize("kind", TEXTS)
def test_what_is_no_text_in_utf_8(tmp_path, monkeypatch, kind, reader):
    if reader == "numpy":
        monkeypatch.setitem(sys.modules, "pyarrow", None)
    else:
        pytest.importorskip("pyarrow")
    content, words = TEXTS[kind]
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(ValueError, match=f"x.csv' .*{words}"):
        read_file(tmp_path / "x.csv", target="t")


@pytest.mark.parametrize("reader", ["pyarrow", "numpy"])
def test_text_in_utf_8_is_read_with_or_without_a_mark(tmp_path, monkeypatch, reader):
    if reader == "numpy":
        monkeypatch.setitem(sys.modules, "pyarrow", None)
    for encoding in ("utf-8", "utf-8-sig"):
        (tmp_path / "x.csv").write_text("ä,ü,t\n1,2,nö\n3,4,ja\n", encoding=encoding)
        table = read_file(tmp_path / "x.csv", target="t")
        assert table.names == ["ä", "ü"] and table.target.tolist() == ["nö", "ja"]


# -- predictions ---------------------------------------------------------------------------------------------


def predictions(tmp_path, capsys, labels, suffix):
    """Of a model with two labels, as they stand in the file."""
    output = tmp_path / f"scores{suffix}"
    LogisticRegression().fit(X, np.asarray(labels)[Y]).save(tmp_path / "m")
    np.save(tmp_path / "x.npy", X)
    code, out, err = run(
        "predict", tmp_path / "x.npy", "--model", tmp_path / "m", "--output", output, capsys=capsys
    )
    assert code == 0 and out == "" and "200 predictions" in err
    text = suffix not in (".parquet", ".feather", ".arrow")
    assert ("apostrophe" in err) == (text and any(harmless(label) != label for label in labels))
    return output


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet", ".feather", ".arrow", ""])
def test_the_format_follows_the_suffix(tmp_path, capsys, suffix):
    path = predictions(tmp_path, capsys, ["no", "yes"], suffix)
    model = load(tmp_path / "m")
    if suffix in (".csv", ".tsv", ""):
        with open(path, newline="") as file:
            rows = list(csv.reader(file, delimiter="\t" if suffix == ".tsv" else ","))
        heading, labels, found = rows[0], [row[0] for row in rows[1:]], [float(row[1]) for row in rows[1:]]
    else:
        table = read_file(path, target="prediction")
        heading, labels, found = ["prediction", *table.names], table.target.tolist(), table.X[:, 0]
    assert heading == ["prediction", "probability_yes"] and labels == model.predict(X).tolist()
    np.testing.assert_allclose(found, model.predict_proba(X)[:, 1], rtol=1e-15)


@pytest.mark.parametrize("suffix", [".xlsx", ".json", ".npz"])
def test_a_format_that_is_not_written_is_refused_early(tmp_path, capsys, suffix):
    output = tmp_path / f"scores{suffix}"
    code, _, err = run("predict", tmp_path / "none.csv", "--model", "none", "--output", output, capsys=capsys)
    assert code == 2 and ".csv, .tsv, .parquet" in err and not output.exists()


def test_without_pyarrow_a_format_that_needs_it_is_refused_early(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.feather", None)
    output = tmp_path / "scores.parquet"
    code, _, err = run("predict", tmp_path / "none.csv", "--model", "none", "--output", output, capsys=capsys)
    assert code == 3 and "pip install 'logreg-accel[arrow]'" in err and not output.exists()


RUN = ["=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(1)", "\tx", "\rx", "=\n1", "=1"]


@pytest.mark.parametrize("label", RUN)
def test_labels_that_a_spreadsheet_would_run(tmp_path, capsys, label):
    labels = sorted([label, "zero"])
    with open(predictions(tmp_path, capsys, labels, ".csv"), newline="") as file:
        found = {row[0] for row in list(csv.reader(file))[1:]}
    assert found == {f"'{label}", "zero"} == {harmless(text) for text in labels}
    if pytest.importorskip("pyarrow"):
        table = read_file(predictions(tmp_path, capsys, labels, ".parquet"), target="prediction")
        assert set(table.target.tolist()) == {label, "zero"}


@pytest.mark.parametrize(
    "label", ["-1", "+1", "-1.5e3", "-", "+", "=", "@", "a=1", "'=1", "", " =1", "<=50K"]
)
def test_labels_that_a_spreadsheet_would_show_stay(label):
    assert harmless(label) == label and harmless(-1) == -1


@pytest.mark.parametrize("dtype", ["datetime64[D]", "datetime64[ns]", "timedelta64[m]"])
def test_labels_of_time_are_written_as_text(tmp_path, capsys, dtype):
    labels = np.array([1, 2], dtype="int64").astype(dtype)
    path = predictions(tmp_path, capsys, labels, ".csv")
    text = [str(label) for label in labels]
    with open(path, newline="") as file:
        assert {row[0] for row in list(csv.reader(file))[1:]} == set(text)
    for verb, *arguments in (["predict", tmp_path / "x.npy", "--model"], ["inspect"]):
        code, out, _ = run(verb, *arguments, tmp_path / "m", "--json", capsys=capsys)
        facts = json.loads(out)
        assert code == 0 and set(facts["prediction" if verb == "predict" else "classes"]) == set(text)


@pytest.mark.parametrize("dtype", ["float16", "longdouble", "bool", "uint8", "object"])
def test_labels_of_any_dtype_go_into_a_table(tmp_path, dtype):
    pytest.importorskip("pyarrow")
    labels = np.array(["a", "b"], dtype=object) if dtype == "object" else np.array([0, 1], dtype=dtype)
    with open(tmp_path / "x.parquet", "wb") as file:
        table_writer("x.parquet", ".parquet")(file, [{"prediction": labels, "p": np.array([0.5, 0.25])}])
    assert read_file(tmp_path / "x.parquet", target="prediction").target.tolist() == labels.tolist()
