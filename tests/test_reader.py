"""Tables as they come: how they are packed, separated and spelt; what is said if they cannot be read."""

import bz2
import gc
import gzip
import lzma
import re
import warnings
import zipfile

import pytest

pa = pytest.importorskip("pyarrow")

from logreg_accel import read_file  # noqa: E402
from logreg_accel.data.finding import find_files  # noqa: E402
from logreg_accel.data.gathering import looks_like_data  # noqa: E402
from logreg_accel.data.opening import kind_of  # noqa: E402
from logreg_accel.data.reader import TableReader  # noqa: E402

TEXT = "a,b,c\n1,x,2.5\n2,y,?\n,x,4\n"
ROWS = [{"a": 1, "b": "x", "c": 2.5}, {"a": 2, "b": "y", "c": None}, {"a": None, "b": "x", "c": 4.0}]


def zipped(path, content, names=("t.csv",)):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, content)


def zstd(path, content):
    with pa.CompressedOutputStream(str(path), "zstd") as file:
        file.write(content)


PACKED = {
    "plain.csv": lambda path, content: path.write_bytes(content),
    "plain.data": lambda path, content: path.write_bytes(content),
    "plain": lambda path, content: path.write_bytes(content),
    "x.csv.gz": lambda path, content: path.write_bytes(gzip.compress(content)),
    "x.csv.bz2": lambda path, content: path.write_bytes(bz2.compress(content)),
    "x.csv.xz": lambda path, content: path.write_bytes(lzma.compress(content)),
    "x.zip": zipped,
    "x.csv.zst": zstd,
    "gzip without its suffix": lambda path, content: path.write_bytes(gzip.compress(content)),
}


@pytest.mark.parametrize("name", PACKED)
def test_text_is_read_however_it_is_packed(tmp_path, name):
    PACKED[name](tmp_path / name, TEXT.encode())
    reader = TableReader(tmp_path / name)
    assert reader.names == ["a", "b", "c"] and reader.read().to_pylist() == ROWS
    assert pa.Table.from_batches(reader.batches()).to_pylist() == ROWS
    twice = [pa.Table.from_batches(reader.batches(["c", "a"])).to_pylist() for _ in range(2)]
    assert twice[0] == twice[1] == [{"c": row["c"], "a": row["a"]} for row in ROWS]


@pytest.mark.parametrize("name", PACKED)
def test_no_file_stays_open(tmp_path, name):
    PACKED[name](tmp_path / name, TEXT.encode())
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", ResourceWarning)
        TableReader(tmp_path / name).read()
        gc.collect()
    assert not told


@pytest.mark.parametrize("separator", [",", "\t", ";", "|", " "])
def test_the_separator_is_found_out(tmp_path, separator):
    (tmp_path / "x.txt").write_text(TEXT.replace(",", separator).replace(" \n", " NA\n"))
    assert TableReader(tmp_path / "x.txt").read().to_pylist() == ROWS
    assert TableReader(tmp_path / "x.txt", separator=separator).names == ["a", "b", "c"]


def test_lines_as_people_write_them(tmp_path):
    (tmp_path / "x.csv").write_bytes(b'\xef\xbb\xbfn, two words ,\r\n\r\n 1, ?,"a,b"\r\n"2",  ,"c\r\nd"\r\n')
    reader = TableReader(tmp_path / "x.csv")
    assert reader.names == ["n", "two words", "unnamed 2"]
    expected = [
        {"n": 1, "two words": None, "unnamed 2": "a,b"},
        {"n": 2, "two words": None, "unnamed 2": "c\r\nd"},
    ]
    assert reader.read().to_pylist() == expected


def test_a_comma_may_be_the_decimal_point(tmp_path):
    (tmp_path / "x.csv").write_text("a;b\n1,5;2\n-3,25;4\n")
    assert TableReader(tmp_path / "x.csv").read().to_pylist() == [{"a": 1.5, "b": 2}, {"a": -3.25, "b": 4}]


def test_a_line_end_in_quotes_far_from_the_start(tmp_path):
    (tmp_path / "x.csv").write_text("a,b\n" + "1,x\n" * 600_000 + '2,"y\nz"\n' + "3,x\n" * 10)
    last = TableReader(tmp_path / "x.csv").read().slice(600_000, 2).to_pylist()
    assert last == [{"a": 2, "b": "y\nz"}, {"a": 3, "b": "x"}]


def test_without_a_header(tmp_path):
    (tmp_path / "x.data").write_text("39, State-gov, <=50K\n50, ?, >50K\n")
    assert looks_like_data(TableReader(tmp_path / "x.data").names)
    reader = TableReader(tmp_path / "x.data", header=False, missing=["<=50K"]).typed({"0": "number"})
    assert reader.names == ["0", "1", "2"] and not looks_like_data(["a1", "", "x.5"])
    expected = [{"0": 39.0, "1": " State-gov", "2": None}, {"0": 50.0, "1": None, "2": " >50K"}]
    assert reader.read().to_pylist() == expected


def test_other_encodings_are_named(tmp_path):
    (tmp_path / "x.csv").write_text("ä,t\nö,1\nü,2\n", encoding="latin-1")
    with pytest.raises(ValueError, match="0xe4 in line 1.*--encoding LATIN1"):
        TableReader(tmp_path / "x.csv").read()
    assert TableReader(tmp_path / "x.csv", encoding="latin-1").read()["ä"].to_pylist() == ["ö", "ü"]
    (tmp_path / "x.csv").write_text("ä,t\nö,1\nü,2\n", encoding="utf-16")
    assert TableReader(tmp_path / "x.csv", encoding="utf-16").read()["ä"].to_pylist() == ["ö", "ü"]


def test_binary_tables_need_no_suffix(tmp_path):
    from pyarrow.feather import write_feather
    from pyarrow.parquet import write_table

    table = pa.Table.from_pylist(ROWS)
    for name, write in (("parquet", write_table), ("feather", write_feather)):
        write(table, tmp_path / name)
        reader = TableReader(tmp_path / name)
        assert (reader.kind, reader.names) == (name, ["a", "b", "c"])
        assert reader.read(["c"]).to_pylist() == [{"c": row["c"]} for row in ROWS]
        assert pa.Table.from_batches(reader.batches(["b"])).to_pylist() == [{"b": row["b"]} for row in ROWS]


def test_svmlight_is_told_by_its_lines(tmp_path):
    for name, text in (
        ("x.txt", "1 1:2.5 7:1\n-1 3:1\n"),
        ("x.svm", "anything\n"),
        ("x", "# why\n+1 qid:3 1:2\n"),
    ):
        (tmp_path / name).write_text(text)
        assert kind_of(tmp_path / name) == "svmlight"
    (tmp_path / "x").write_text("a b\n1 2:30\n")
    assert kind_of(tmp_path / "x") == "text"
    assert read_file(tmp_path / "x.txt").X.shape == (2, 7)


def test_patterns_and_folders(tmp_path):
    for name in ("b.csv", "a.csv", ".hidden", "_SUCCESS"):
        (tmp_path / name).write_text(TEXT)
    both = [str(tmp_path / "a.csv"), str(tmp_path / "b.csv")]
    assert find_files([tmp_path]) == find_files([tmp_path / "*.csv"]) == find_files(both) == both
    with pytest.raises(FileNotFoundError, match="none"):
        find_files([tmp_path / "none-*.csv"])


def test_a_folder_without_files_says_what_was_looked_for(tmp_path):
    with pytest.raises(FileNotFoundError, match="the folder has no files; expected .parquet.*svmlight.*text"):
        find_files([tmp_path])
    (tmp_path / "_SUCCESS").write_text("")
    with pytest.raises(FileNotFoundError, match="no files, only '_SUCCESS': names that begin with"):
        find_files([tmp_path])
    (tmp_path / "year=2024").mkdir()
    (tmp_path / "year=2024" / "a.csv").write_text(TEXT)
    with pytest.raises(FileNotFoundError, match="only folders such as 'year=2024'") as refused:
        find_files([tmp_path])
    (pattern,) = re.findall("; '(.*)' takes", str(refused.value))
    assert find_files([pattern]) == [str(tmp_path / "year=2024" / "a.csv")]


REFUSED = {
    "too few fields": ("a,b\n1,2\n3\n", "line 3 has 1 fields; expected 2"),
    "two of a name": ("a,b, a\n1,2,3\n", "two columns of one name: 'a'"),
    "nothing": ("", "is empty"),
    "a spreadsheet": (
        lambda path: zipped(path, b"", ["[Content_Types].xml", "xl/book.xml"]),
        "save it as CSV",
    ),
    "two files": (lambda path: zipped(path, b"a", ["1.csv", "2.csv"]), "holds 2 files"),
    "a cut zip": (lambda path: path.write_bytes(b"PK\3\4 and no more"), "damaged zip"),
    "a cut gzip": (lambda path: path.write_bytes(gzip.compress(TEXT.encode() * 99)[:-20]), "damaged"),
    "no Parquet": (lambda path: path.write_bytes(b"PAR1 and no more PAR1"), "not a readable Parquet"),
    "no Feather": (lambda path: path.write_bytes(b"ARROW1 and no more"), "not a readable Feather"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_read_is_told(tmp_path, case):
    content, words = REFUSED[case]
    path = tmp_path / "x.dat"
    path.write_text(content) if isinstance(content, str) else content(path)
    with pytest.raises(ValueError, match=words) as told:
        TableReader(path).read()
    assert "x.dat" in str(told.value)


def test_a_value_of_the_wrong_type_is_found(tmp_path):
    (tmp_path / "x.csv").write_text("a,b\n1,2\n3,x\n")
    with pytest.raises(ValueError, match="has 'x' in column 'b' in line 3; expected a number.*--na 'x'"):
        TableReader(tmp_path / "x.csv").typed({"b": "number"}).read()
