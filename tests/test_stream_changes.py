"""Sources that change while they are fitted: told by file before rows of two states make a model."""

import os

import numpy as np
import pandas as pd
import pytest

from logreg_accel import LogisticRegression, TableEncoder, scan

PARTS, ROWS = 4, 500


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(PARTS):
        frame = pd.DataFrame(rng.standard_normal((ROWS, 3)), columns=list("abc"))
        frame["y"] = (frame.a + rng.logistic(size=ROWS) > 0).astype(int)
        frame.to_parquet(tmp_path / f"{i}.parquet")
    return tmp_path


def flip(path):
    """Another label in one row, in a file that takes the place of the first one."""
    frame = pd.read_parquet(path)
    frame.loc[7, "y"] = 1 - frame.y[7]
    frame.to_parquet(path.with_suffix(".new"))
    os.replace(path.with_suffix(".new"), path)


def grow(path):
    frame = pd.read_parquet(path)
    pd.concat([frame, frame]).to_parquet(path)


CHANGES = {"flip": flip, "grow": grow, "cut": lambda path: os.truncate(path, 100), "vanish": os.unlink}


def changing(source, at, change):
    """The source, with a change once so many pieces have come."""
    seen = []

    def progress(piece):
        seen.append(piece)
        if len(seen) == at:
            change()

    source.progress = progress
    return source


@pytest.mark.parametrize("encoder", [None, TableEncoder()], ids=["numbers", "encoded"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changes_before_it_is_read(folder, change, encoder):
    source = scan(folder / "*.parquet", target="y", encoder=encoder)
    changing(source, 2, lambda: CHANGES[change](folder / "3.parquet"))
    with pytest.raises((ValueError, OSError), match="3.parquet' has changed|3.parquet"):
        LogisticRegression().fit(source)


@pytest.mark.parametrize("at", [1, PARTS, PARTS + 2])
def test_a_label_that_changes_after_the_encoder_has_learned(folder, at):
    """Tables are read twice: first for their encoding, then for their rows."""
    source = scan(folder / "*.parquet", target="y", encoder=TableEncoder())
    with pytest.raises(ValueError, match="0.parquet' has changed while it was read"):
        LogisticRegression().fit(changing(source, at, lambda: flip(folder / "0.parquet")))


def test_a_cache_of_files_that_have_changed_is_not_made(folder):
    source = scan(folder / "*.parquet", target="y", cache=folder / "cache")
    with pytest.raises(ValueError, match="0.parquet' has changed while the source was read"):
        LogisticRegression().fit(changing(source, PARTS, lambda: flip(folder / "0.parquet")))
    assert os.listdir(folder / "cache") == []


def test_what_changes_after_it_was_read_changes_nothing(folder):
    """All reads after the first one read the blocks that it has written."""
    expected = LogisticRegression().fit(scan(folder / "*.parquet", target="y")).coef_
    source = scan(folder / "*.parquet", target="y")
    changing(source, PARTS, lambda: [flip(folder / f"{i}.parquet") for i in range(PARTS - 1)])
    np.testing.assert_array_equal(LogisticRegression().fit(source).coef_, expected)


def test_a_callable_is_read_once_in_a_fit_and_a_spent_one_is_told():
    rng, calls = np.random.default_rng(0), []

    def other_rows():
        calls.append(1)
        X = rng.standard_normal((300, 3))
        yield X, (X[:, 0] > 0.1).astype(int)

    source = scan(other_rows)
    LogisticRegression().fit(source)
    assert len(calls) == 1
    spent = other_rows()
    source = scan(lambda: spent)
    LogisticRegression().fit(source)
    with pytest.raises(ValueError, match="it has to begin a new iterator"):
        LogisticRegression().fit(source)
