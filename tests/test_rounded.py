"""Integers that float64 cannot represent are reported by column, for any kind of X, and nothing else is."""

import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse
from sklearn.exceptions import DataConversionWarning

from logreg_accel import LogisticRegression, LogisticRegressionCV, scan
from logreg_accel.data.rounded import rounded

pl = pytest.importorskip("polars")

BEYOND = np.array([1 << 53, (1 << 53) + 1, -(1 << 53) - 1, (1 << 53) + 2, (1 << 63) - 1, -(1 << 63), 0, 7])
M = len(BEYOND)
FRAME = pd.DataFrame({"key": BEYOND, "small": np.arange(M), "x": np.linspace(-1, 1, M)})
Y = np.arange(M) % 2


def test_the_count_is_that_of_exact_arithmetic():
    rng = np.random.default_rng(0)
    signed = rng.integers(-(1 << 63), (1 << 63) - 1, 5000) >> rng.integers(0, 20, 5000)
    for values in (signed, signed.astype(np.uint64), np.append(BEYOND, signed)):
        expected = sum(int(float(value)) != value for value in values.tolist())
        assert rounded(values[:, None]) == {0: expected}


KINDS = {
    "pandas": lambda frame: frame,
    "nullable": lambda frame: frame.convert_dtypes(),
    "pandas with Arrow": lambda frame: frame.convert_dtypes(dtype_backend="pyarrow"),
    "polars": pl.from_pandas,
    "Arrow": pa.Table.from_pandas,
    "lazy": lambda frame: pl.from_pandas(frame).lazy(),
}


@pytest.mark.parametrize("kind", KINDS)
def test_columns_are_named(kind):
    with pytest.warns(DataConversionWarning, match=r"beyond 2\*\*53 .*columns: 'key' \(3\)\. "):
        LogisticRegression().fit(KINDS[kind](FRAME), Y)
    with warnings.catch_warnings():
        warnings.simplefilter("error", DataConversionWarning)
        LogisticRegression().fit(KINDS[kind](FRAME[["small", "x"]]), Y)


@pytest.mark.parametrize("layout", [np.asarray, np.asfortranarray, scipy.sparse.csr_array])
def test_arrays_have_the_numbers_of_columns(layout):
    X = layout(np.column_stack([np.arange(M), BEYOND]))
    with pytest.warns(DataConversionWarning, match=r"1 \(3\)\. "):
        LogisticRegression().fit(X, Y)
    with pytest.warns(DataConversionWarning, match=r"1 \(3\)\. "):
        LogisticRegressionCV(Cs=2, cv=2).fit(X, Y)
    with warnings.catch_warnings():
        warnings.simplefilter("error", DataConversionWarning)
        LogisticRegression().fit(np.asarray(FRAME), Y)  # rounded by who made it


def test_frames_whose_columns_are_numbered():
    """There are fewer rows than columns, so that the number of a column is not that of a row."""
    frame = pd.DataFrame(np.arange(48).reshape(6, 8))
    frame[7] += (1 << 60) + 1
    frame[9] = np.linspace(-1, 1, 6) ** 2
    assert rounded(frame) == {7: sum(int(float(value)) != value for value in frame[7].tolist())}
    model = LogisticRegression().fit(frame[[0, 1, 9]], Y[:6])
    source = scan(lambda: [(frame[[0, 1, 9]][:4], Y[:4]), (frame[[0, 1, 9]][4:], Y[4:6])])
    np.testing.assert_allclose(LogisticRegression().fit(source).coef_, model.coef_, rtol=1e-5, atol=1e-12)


def test_sources_tell_the_sum_of_all_files(tmp_path):
    """This holds with a cache and on workers, too."""
    for i in range(2):
        FRAME.assign(y=Y).to_parquet(tmp_path / f"{i}.parquet")
    files = {"data": tmp_path / "*.parquet", "target": "y", "cache": tmp_path / "cache"}
    sources = [scan(**files), scan(**files), scan(**files, client=1), scan(lambda: iter([(FRAME, Y)] * 2))]
    for source in sources:
        with pytest.warns(DataConversionWarning, match=r"'key' \(6\)"):
            LogisticRegression().fit(source)


@pytest.mark.parametrize("suffix", ["csv", "csv.gz"])
def test_text_is_told_of_as_it_is_written(tmp_path, suffix, monkeypatch):
    """Integers beyond 64 bits and in later chunks count; numbers with a point or an exponent do not."""
    monkeypatch.setattr("logreg_accel.data.chunks.CHUNK", 64)
    longer = [str(value) for value in BEYOND[:6].tolist()] + ["1" + "0" * 22, "1" + "0" * 22 + "1"]
    frame = FRAME.assign(y=Y, longer=longer, real=["1e30", "9007199254740993.5"] + ["1"] * (M - 2))
    for i in range(2):
        frame.to_csv(tmp_path / f"{i}.{suffix}", index=False)
    counted = r"'key' \(6\), 'longer' \(8\)\. "
    with pytest.warns(DataConversionWarning, match=counted):
        LogisticRegression().fit(scan(tmp_path / f"*.{suffix}", target="y"))
    with warnings.catch_warnings():
        warnings.simplefilter("error", DataConversionWarning)
        LogisticRegression().fit(scan(tmp_path / f"*.{suffix}", target="y", features=["small", "x", "real"]))


def test_labels_beyond_are_kept_apart(tmp_path):
    """The two labels are equal in float64."""
    labels = (1 << 53) + Y
    FRAME[["x"]].assign(y=labels).to_parquet(tmp_path / "0.parquet")
    model = LogisticRegression().fit(scan(tmp_path / "0.parquet", target="y"))
    assert model.classes_.tolist() == np.unique(labels).tolist()
    assert LogisticRegression().fit(FRAME[["x"]], labels).classes_.tolist() == np.unique(labels).tolist()
