"""Fits that share a folder for their caches: whoever comes first, each ends in the same bits."""

import errno
import fcntl
import os
import tempfile

import numpy as np
import pytest

from conftest import draw
from logreg_accel import LogisticRegression, scan
from logreg_accel.data import packed
from logreg_accel.rows import cache, stream


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A source with a cache; row vectors of its fits lie on disk."""
    monkeypatch.setattr(packed, "BLOCK", 1 << 15)
    monkeypatch.setattr(stream, "VECTORS", 0.0)
    X, y, _, _ = draw(6000, 6)
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", y)
    return {"data": tmp_path / "X.npy", "target": tmp_path / "y.npy", "cache": tmp_path / "cache"}


def coef_of(files):
    return LogisticRegression(backend="numpy").fit(scan(**files)).coef_


def test_another_fit_publishes_the_same_cache_first(files, monkeypatch):
    """What is then written beside the blocks goes to the folder that exists."""
    expected, publish, others = coef_of(files | {"cache": None}), cache.publish, []

    def second(*arguments, **options):
        if not others:
            others.append(None)
            others.append(coef_of(files))
        publish(*arguments, **options)

    monkeypatch.setattr(cache, "publish", second)
    np.testing.assert_array_equal(coef_of(files), expected)
    np.testing.assert_array_equal(others[1], expected)
    (folder,) = os.listdir(files["cache"])
    assert not folder.endswith(".tmp")


def test_a_cache_that_others_made_may_be_for_reading_alone(files, monkeypatch):
    """Row vectors then go to the temporary folder. Permissions are simulated, since the user of the tests may
    ignore them."""
    expected, temporary = coef_of(files), tempfile.TemporaryFile

    def refused(*arguments, dir=None, **options):
        if dir is not None and str(dir).startswith(str(files["cache"])):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(dir))
        return temporary(*arguments, dir=dir, **options)

    monkeypatch.setattr(tempfile, "TemporaryFile", refused)
    np.testing.assert_array_equal(coef_of(files), expected)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_folder_that_is_taken_for_one_left_behind(files, when, monkeypatch):
    """Another fit takes it between its creation and its lock, and still has it or has removed it."""
    lock, taken = fcntl.flock, []

    def locked(file, how):
        if not taken:
            (name,) = os.listdir(files["cache"])
            working = os.path.join(files["cache"], name)
            taken.append(os.open(os.path.join(working, "blocks"), os.O_RDWR))
            if when == "before":
                lock(taken[0], fcntl.LOCK_EX)
            else:
                cache._remove_left_behind(working)
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", locked)
    found = coef_of(files)
    os.close(taken[0])
    np.testing.assert_array_equal(found, coef_of(files | {"cache": None}))
