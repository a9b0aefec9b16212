"""Sources of rows: every kind gives the same rows, and what is wrong with a shard is told by file and row."""

import functools
import gzip
import lzma
import os

import numpy as np
import pandas as pd
import pyarrow.dataset
import pytest
import scipy.sparse
from sklearn.datasets import dump_svmlight_file

from logreg_accel import scan
from logreg_accel.data.files import read_file

M, N = 300, 4
NAMES = list("abcd")


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """A folder with the same rows in every format, in three shards, and those rows."""
    folder = tmp_path_factory.mktemp("shards")
    rng = np.random.default_rng(0)
    X, y, w = rng.standard_normal((M, N)), rng.integers(0, 2, M), rng.random(M)
    frame = pd.DataFrame(X, columns=NAMES).assign(y=y, w=w)
    sparse = scipy.sparse.csr_array(np.where(abs(X) > 1, X, 0))
    for i, rows in enumerate(np.array_split(np.arange(M), 3)):
        part = frame.iloc[rows].reset_index(drop=True)
        part.to_parquet(folder / f"p-{i}.parquet", row_group_size=30)
        part.to_feather(folder / f"f-{i}.feather")
        part.to_csv(folder / f"c-{i}.csv", index=False)
        part.to_csv(folder / f"t-{i}.tsv.gz", index=False, sep="\t")
        for name, array in (("X", X), ("y", y), ("w", w), ("Xyw", np.column_stack([X, y, w]))):
            np.save(folder / f"{name}-{i}.npy", array[rows])
        np.savez(folder / f"z-{i}.npz", X=X[rows], label=y[rows], w=w[rows])
        dump_svmlight_file(sparse[rows], y[rows], str(folder / f"s-{i}.svm"), zero_based=False)
    return folder, X, y, w, sparse


def rows_of(source):
    """Everything that a source gives."""
    chunks = [piece.chunk for piece in source.pieces()]
    width = max(chunk.X.shape[1] for chunk in chunks)
    dense = [chunk.X.toarray() if scipy.sparse.issparse(chunk.X) else chunk.X for chunk in chunks]
    X = np.concatenate([np.pad(part, ((0, 0), (0, width - part.shape[1]))) for part in dense])
    weights = None if chunks[0].weight is None else np.concatenate([chunk.weight for chunk in chunks])
    return X, np.concatenate([chunk.y for chunk in chunks]), weights


COLUMNS = {"target": "y", "weight": "w"}
SOURCES = {
    "parquet": lambda f: scan(f / "p-*.parquet", **COLUMNS),
    "feather": lambda f: scan([f / "f-0.feather", f / "f-1.feather", f / "f-2.feather"], **COLUMNS),
    "csv": lambda f: scan(str(f / "c-*.csv"), **COLUMNS, features=NAMES),
    "packed tsv": lambda f: scan(f / "t-*.tsv.gz", **COLUMNS),
    "npy": lambda f: scan(f / "Xyw-*.npy", target=4, weight="-1"),
    "npy beside": lambda f: scan(f / "X-*.npy", target=f / "y-*.npy", weight=str(f / "w-*.npy")),
    "npz": lambda f: scan(f / "z-*.npz", target="label", weight="w"),
    "dataset": lambda f: scan(pyarrow.dataset.dataset([str(p) for p in sorted(f.glob("p-*"))]), **COLUMNS),
    "lazy frame": lambda f: scan(pytest.importorskip("polars").scan_parquet(f / "p-*.parquet"), **COLUMNS),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_every_source_gives_the_same_rows(shards, kind):
    folder, X, y, w, _ = shards
    source = SOURCES[kind](folder)
    for _ in range(2):  # it can be read again
        got = rows_of(source)
        np.testing.assert_array_equal(got[0], X)
        np.testing.assert_array_equal(got[1], y)
        np.testing.assert_array_equal(got[2], w)


def test_sparse_sources(shards, tmp_path, monkeypatch):
    folder, _, y, _, sparse = shards
    monkeypatch.setattr("logreg_accel.data.shards.CHUNK", 700)  # bytes: lines are read in many ranges
    X, labels, _ = rows_of(scan(folder / "s-*.svm"))
    np.testing.assert_allclose(X, sparse.toarray(), rtol=1e-14)
    np.testing.assert_array_equal(labels, y)
    (tmp_path / "0.svm").write_text("1\n0\n")  # rows without entries, in a file of their own
    (tmp_path / "1.svm").write_bytes((folder / "s-0.svm").read_bytes())
    X, labels, _ = rows_of(scan(tmp_path / "*.svm"))
    assert not X[:2].any() and X.shape == (M // 3 + 2, N) and labels[:2].tolist() == [1, 0]
    arrays = {"data": sparse.data, "indices": sparse.indices, "indptr": sparse.indptr}
    np.savez(tmp_path / "a.npz", **arrays, shape=(M, N), y=y)
    np.testing.assert_array_equal(rows_of(scan(tmp_path / "a.npz"))[0], sparse.toarray())


def test_a_folder_and_columns_in_another_order(shards, tmp_path):
    folder, X, y, _, _ = shards
    for i in range(3):
        frame = pd.read_parquet(folder / f"p-{i}.parquet")
        frame[[*frame.columns[::-1]] if i == 1 else [*frame.columns]].to_parquet(tmp_path / f"{i}.parquet")
    pd.read_parquet(folder / "p-0.parquet").iloc[:0].to_parquet(tmp_path / "1-empty.parquet")
    (tmp_path / "_SUCCESS").touch()
    got = rows_of(scan(tmp_path, target="y", features=None, weight="w"))
    np.testing.assert_array_equal(got[0], X)
    np.testing.assert_array_equal(got[1], y)


def test_row_numbers_that_pandas_writes_are_no_column(tmp_path):
    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0], "y": [0, 1, 0]})
    frame[frame.a > 1].to_parquet(tmp_path / "x.parquet")
    for name in ("x.parquet", tmp_path):
        (piece,) = scan(tmp_path / name, target="y").pieces()
        assert piece.chunk.names == ["a"] and piece.chunk.X.tolist() == [[2.0], [3.0]]


def test_chunks_of_a_callable():
    rng = np.random.default_rng(1)
    X, y = rng.standard_normal((50, 3)), rng.integers(0, 2, 50)
    frame = pd.DataFrame(X, columns=["u", "v", "w"])

    def chunks():
        yield frame[:20], y[:20]
        yield frame[:0], y[:0]
        yield frame[["w", "u", "v"]][20:], y[20:]

    got = rows_of(scan(chunks))
    np.testing.assert_array_equal(got[0], X)
    np.testing.assert_array_equal(got[1], y)


# -- what is wrong -------------------------------------------------------------------------------------------


def spoiled(shards, tmp_path, change):
    """A source of two Parquet shards, the second of which was changed."""
    folder = shards[0]
    frame = pd.read_parquet(folder / "p-0.parquet")
    frame.to_parquet(tmp_path / "0.parquet")
    change(frame.copy()).to_parquet(tmp_path / "1.parquet")
    return scan(tmp_path / "*.parquet", **COLUMNS)


def cell(frame, row, column, value):
    frame[column] = frame[column].astype(object if value is None else frame[column].dtype)
    frame.loc[row, column] = value
    return frame


SPOILED = {
    "lacks a column": (lambda f: f.drop(columns="b"), "1.parquet' has other columns than .*lacks 'b'"),
    "adds a column": (lambda f: f.assign(e=1.0), "1.parquet' has other columns than .*adds 'e'"),
    "another type": (
        lambda f: f.assign(c=f.c.astype("float32")),
        "1.parquet' has float in column 'c'.* double",
    ),
    "text": (
        lambda f: f.assign(c="x"),
        r"1.parquet' has columns that are not numbers: 'c' "
        r"\((large_)?string\).*encoder=TableEncoder",
    ),
    "no target": (lambda f: f.drop(columns="y"), "1.parquet' has no column 'y'"),
    "a null": (lambda f: cell(f, 7, "c", None), "1.parquet' has a missing value in column 'c', row 7"),
    "a null label": (lambda f: cell(f, 9, "y", None), "1.parquet' has a missing value in column 'y', row 9"),
    "infinity": (lambda f: cell(f, 5, "b", np.inf), "1.parquet' contains infinity at row 5, column 'b'"),
}


@pytest.mark.parametrize("fault", SPOILED)
def test_faults_are_told_by_file_and_row(shards, tmp_path, fault):
    change, message = SPOILED[fault]
    with pytest.raises((ValueError, TypeError), match=message):
        rows_of(spoiled(shards, tmp_path, change))


def test_faults_of_text_name_the_line(shards, tmp_path):
    lines = (shards[0] / "c-0.csv").read_text().splitlines()
    lines[5] = lines[5].replace(lines[5].split(",")[1], "oops")
    (tmp_path / "a.csv").write_text("\n".join(lines))
    with pytest.raises(ValueError, match="a.csv' has 'oops' in column 'b'"):
        rows_of(scan(tmp_path / "a.csv", **COLUMNS))


@pytest.mark.parametrize("late", [False, True], ids=["all", "in later blocks"])
def test_bools_of_text_are_numbers(tmp_path, late, monkeypatch):
    """True and false are 1 and 0, as in memory, also after rows that write them as numbers; other words are
    errors."""
    monkeypatch.setattr("logreg_accel.data.reader._BLOCK", 400)
    rng, count = np.random.default_rng(0), 300
    told = rng.random((count, 3)) < 0.5
    words = np.where(told, *(("true", "false") if not late else ("True", "False"))).astype(object)
    if late:
        words[:200, 1] = told[:200, 1].astype(int)
    lines = [",".join([f"{i / 7}", *map(str, row), f"{i % 2}"]) for i, row in enumerate(words)]
    (tmp_path / "a.csv").write_text("\n".join(["x,a,b,c,y", *lines]) + "\n")
    got = rows_of(scan(tmp_path / "a.csv", target="y"))
    table = read_file(tmp_path / "a.csv", target="y")
    np.testing.assert_array_equal(got[0], np.asarray(table.X, dtype=float))
    np.testing.assert_array_equal(got[0][:, 1:], told)
    np.testing.assert_array_equal(got[1], table.target)
    lines[250] = lines[250].replace(words[250, 2], "maybe")
    (tmp_path / "b.csv").write_text("\n".join(["x,a,b,c,y", *lines]) + "\n")
    with pytest.raises(ValueError, match="has 'maybe' in column '[abc]' in line 252; expected true or false"):
        rows_of(scan(tmp_path / "b.csv", target="y"))


@pytest.mark.parametrize(
    "words, told",
    [
        ({200: "True"}, "both 'True' in line 202 and '0.5' in line 2 of column 'a'"),
        ({0: "true"}, "both 'true' in line 2 and '1.5' in line 3 of column 'a'"),
        (
            {7: "1e5", **dict.fromkeys([*range(7), *range(8, 300)], "False")},
            "'False' in line 2 and '1e5' in line 9",
        ),
    ],
)
def test_a_truth_value_among_numbers_is_told_with_one_of_them(tmp_path, words, told, monkeypatch):
    """The number alone was reported, as if true and false had been expected."""
    monkeypatch.setattr("logreg_accel.data.reader._BLOCK", 400)
    lines = [f"{words.get(i, i + 0.5)},{i % 2}" for i in range(300)]
    (tmp_path / "a.csv").write_text("\n".join(["a,y", *lines]) + "\n")
    with pytest.raises(ValueError, match=told + ".*expected numbers in all lines, or true and false in all"):
        rows_of(scan(tmp_path / "a.csv", target="y"))


@pytest.mark.parametrize("name, opened", [("a.svm", open), ("a.svm.gz", gzip.open), ("a.svm.xz", lzma.open)])
def test_faults_of_svmlight_name_the_line(tmp_path, name, opened, monkeypatch):
    """This holds in any range of bytes and in compressed files, which are read whole."""
    monkeypatch.setattr("logreg_accel.data.shards.CHUNK", 1000)
    monkeypatch.setattr("logreg_accel.data.svmlight._LINES", 7)
    lines = ["# a comment", *(f"{i % 2} 1:{i} 3:0.5" for i in range(300))]
    for number, bad in ((1, "x 1:2"), (17, "1 1:2 3:y"), (250, "1 3:1 2:1"), (301, "0 0:1")):
        with opened(tmp_path / name, "wt") as file:
            file.write("\n".join([*lines[: number - 1], bad, *lines[number:]]) + "\n")
        for read in (lambda: rows_of(scan(tmp_path / name)), lambda: read_file(tmp_path / name)):
            with pytest.raises(ValueError, match=rf"{name}' is not a readable .*, line {number}\. Its lines"):
                read()


def test_a_file_with_several_names_counts_once(shards, tmp_path):
    folder, X, *_ = shards
    for i in range(3):
        (tmp_path / f"part-{i}.parquet").write_bytes((folder / f"p-{i}.parquet").read_bytes())
    os.symlink("part-2.parquet", tmp_path / "part-0-latest.parquet")
    for data in (tmp_path, tmp_path / "*.parquet"):
        source = scan(data, **COLUMNS)
        assert [os.path.basename(part.name) for part in source.parts] == [
            f"part-{i}.parquet" for i in range(3)
        ]
        np.testing.assert_array_equal(rows_of(source)[0], X)
    os.link(tmp_path / "part-1.parquet", tmp_path / "copy.parquet")
    for data in (tmp_path, [tmp_path / "part-0.parquet", tmp_path / "*.parquet", tmp_path]):
        names = [os.path.basename(part.name) for part in scan(data, **COLUMNS).parts]
        assert sorted(names) == ["copy.parquet", "part-0.parquet", "part-2.parquet"]
    os.unlink(tmp_path / "copy.parquet")
    twice = scan([tmp_path / "part-0.parquet"] * 2, **COLUMNS)
    assert len(twice.parts) == 2  # as often as it is named itself
    os.symlink(tmp_path / "nowhere", tmp_path / "part-3.parquet")
    with pytest.raises(FileNotFoundError, match="part-3"):
        rows_of(scan(tmp_path / "*.parquet", **COLUMNS))


@pytest.mark.parametrize("name", ["p-1.parquet", "f-1.feather", "X-1.npy", "z-1.npz", "t-1.tsv.gz"])
def test_files_that_are_cut_short(shards, tmp_path, name):
    whole = (shards[0] / name).read_bytes()
    for share in (0.0, 0.3, 0.9):
        (tmp_path / name).write_bytes(whole[: int(share * len(whole))])
        beside = {"target": shards[0] / "y-1.npy"} if name.startswith("X") else COLUMNS
        beside = {"target": "label"} if name.startswith("z") else beside
        with pytest.raises((ValueError, OSError), match=name.split(".")[0]):
            rows_of(scan(tmp_path / name, **beside))


def test_files_that_grow_and_vanish(shards, tmp_path):
    for i in range(2):
        os.link(shards[0] / f"X-{i}.npy", tmp_path / f"X-{i}.npy")
    source = scan(tmp_path / "X-*.npy", target="0")
    pieces = source.pieces()
    next(pieces)
    (tmp_path / "X-1.npy").unlink()
    with pytest.raises(FileNotFoundError, match="vanished since `scan`.*X-1.npy|X-1.npy"):
        list(pieces)
    np.save(tmp_path / "g.npy", np.ones((10, 3)))
    pieces = scan(tmp_path / "g.npy", target="0").pieces()
    next(pieces)
    np.save(tmp_path / "g.npy", np.ones((20, 3)))
    with pytest.raises(ValueError, match="g.npy' has changed while it was read"):
        list(pieces)


def test_arguments_that_cannot_be_used(shards, tmp_path):
    folder = shards[0]
    refused = functools.partial(pytest.raises, (ValueError, TypeError, FileNotFoundError))
    with refused(match="no such file.*nothing-"):
        scan(folder / "nothing-*.parquet")
    with refused(match="`memory` is 'much'"):
        scan(folder / "p-*.parquet", memory="much")
    with refused(match="`memory` is '1MB'; expected at least"):
        scan(folder / "p-*.parquet", memory="1MB")
    with refused(match="`data` is ndarray.*go to `fit`"):
        scan(np.ones((3, 3)))
    with refused(match="`target` stands for 3 files and `data` for 1"):
        scan(folder / "X-0.npy", target=folder / "y-*.npy")
    with refused(match="'yy'.*Did you mean 'y'"):
        rows_of(scan(folder / "p-0.parquet", target="yy"))
    with refused(match="has no labels; `target` names"):
        rows_of(scan(folder / "p-0.parquet"))
    with refused(match="c-0.csv' has no labels; `target` names"):
        rows_of(scan(folder / "c-0.csv"))
    with refused(match="no rows"):
        rows_of(scan(lambda: iter([])))
    with refused(match="chunk 0 is ndarray; expected a tuple"):
        rows_of(scan(lambda: iter([np.ones((3, 3))])))
    with refused(match="a target of shape"):
        rows_of(scan(lambda: iter([(np.ones((3, 3)), np.ones(2))])))
    assert scan(folder / "p-0.parquet", memory="2GiB").memory == 2 << 30
    assert scan(folder / "p-0.parquet", memory="1.5 gb").memory == 1_500_000_000
