"""Saved models: what comes back, what is refused, and that nothing is ever half written."""

import os
import resource
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from conftest import draw
from logreg_accel import LogisticRegression, load, persistence, solvers

X, Y, _, _ = draw(60, 3)


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "model.npz"
    LogisticRegression(C=2.0).fit(X, Y).save(path)
    return path


def test_everything_comes_back(tmp_path):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X, columns=["a", "b", "ü"])
    labels = np.array(["no", "yes"])[Y]
    clf = LogisticRegression(
        C=np.inf, solver=solvers.lbfgs(memory=4), class_weight={"no": 2.0}, backend="numba"
    ).fit(frame, labels)
    clf.save(tmp_path / "model")
    again = load(tmp_path / "model")
    assert again.get_params() == clf.get_params()
    assert np.array_equal(again.predict_proba(frame), clf.predict_proba(frame))
    for name in vars(clf):
        if name.endswith("_"):
            a, b = getattr(again, name), getattr(clf, name)
            if name == "history_":
                assert np.array_equal(np.array(a), np.array(b), equal_nan=True)
            else:
                assert np.array_equal(a, b), name
    assert again.backend_.reason == "asked for"
    assert again.fit(frame, labels).status_ == clf.status_


@pytest.mark.parametrize(
    "labels",
    [np.array([1, 2]), np.array([False, True]), np.array([-1.0, 1.0]), np.array(["a", "b"], dtype=object)],
)
def test_labels_come_back(tmp_path, labels):
    clf = LogisticRegression().fit(X, labels[Y])
    clf.save(tmp_path / "m")
    again = load(tmp_path / "m").classes_
    assert again.tolist() == labels.tolist() and again.dtype == labels.dtype


def test_plain_numpy_reads_it_without_pickle(saved):
    with np.load(saved, allow_pickle=False) as archive:
        assert set(archive.files) >= {"header", "sha256", "coef", "intercept", "classes"}
        assert archive["coef"].shape == (1, 3)


def test_loads_without_numba_and_cupy(saved):
    code = f"""
        import sys
        sys.modules["numba"] = sys.modules["cupy"] = None
        from logreg_accel import load
        print(load({str(saved)!r}).predict([[0.0, 1.0, 2.0]]).shape)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert done.stdout == "(1,)\n", done.stderr


def test_cut_anywhere_it_is_refused(saved, tmp_path):
    whole = saved.read_bytes()
    cut = tmp_path / "cut"
    for length in range(len(whole)):
        cut.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="cut"):
            load(cut)


@pytest.mark.parametrize(
    "bits", [1, pytest.param(8, marks=pytest.mark.slow)], ids=["one bit a byte", "every bit"]
)
def test_any_flipped_bit_is_refused_or_harmless(saved, tmp_path, bits):
    whole = saved.read_bytes()
    expected = load(saved)
    flipped = tmp_path / "flipped"
    harmless = 0
    rng = np.random.default_rng(0)
    for position, bit in ((p, b) for p in range(len(whole)) for b in rng.permutation(8)[:bits]):
        spoilt = bytearray(whole)
        spoilt[position] ^= 1 << int(bit)
        flipped.write_bytes(spoilt)
        try:
            model = load(flipped)
        except ValueError:
            continue
        harmless += 1
        assert np.array_equal(model.coef_, expected.coef_) and np.array_equal(
            model.intercept_, expected.intercept_
        )
        assert (
            np.array_equal(model.classes_, expected.classes_) and model.get_params() == expected.get_params()
        )
    assert harmless < bits * len(whole) / 2  # a zip has fields that nobody reads: dates, attributes


def test_a_newer_schema_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(persistence, "SCHEMA", 2)
    LogisticRegression().fit(X, Y).save(tmp_path / "new")
    monkeypatch.undo()
    with pytest.raises(ValueError, match="schema 2; this version of logreg_accel reads up to 1. Upgrade"):
        load(tmp_path / "new")


def test_what_is_no_model_is_refused(tmp_path):
    np.savez(tmp_path / "other.npz", coef=np.ones(3))
    with pytest.raises(ValueError, match="not a complete model file"):
        load(tmp_path / "other.npz")
    persistence.save_arrays(tmp_path / "wrong", {"format": "else"}, {})
    with pytest.raises(ValueError, match="format 'else'"):
        load(tmp_path / "wrong")
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none")


def test_a_bomb_is_refused(tmp_path):
    np.savez_compressed(tmp_path / "bomb.npz", coef=np.zeros(10_000_000))
    with pytest.raises(ValueError, match="claims"):
        load(tmp_path / "bomb.npz")


def test_a_full_disk_leaves_what_was_there(saved, tmp_path):
    before = saved.read_bytes()
    for limit in (0, 1, 500, 1500, len(before) - 1):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
                load(saved).save(saved)
            except OSError:
                code = 42
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 42
        assert saved.read_bytes() == before
        assert sorted(os.listdir(tmp_path)) == ["model.npz"]


def test_the_nth_write_fails(saved, tmp_path, monkeypatch):
    before = saved.read_bytes()
    model = load(saved)
    for name in ("fsync", "replace", "chmod"):
        with monkeypatch.context() as patch, pytest.raises(OSError, match="no more"):
            patch.setattr(os, name, _no_more)
            model.save(saved)
        assert saved.read_bytes() == before and os.listdir(tmp_path) == ["model.npz"]


def _no_more(*_):
    raise OSError("no more")


def test_links_and_pipes_stay_what_they_are(saved, tmp_path):
    link, pipe = tmp_path / "link", tmp_path / "pipe"
    link.symlink_to(saved)
    load(saved).set_params(C=3.0).save(link)
    assert link.is_symlink() and load(saved).C == 3.0
    os.mkfifo(pipe)
    reader = subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE)
    load(saved).save(pipe)
    (tmp_path / "piped").write_bytes(reader.communicate(timeout=30)[0])
    assert pipe.is_fifo() and np.array_equal(load(tmp_path / "piped").coef_, load(saved).coef_)


def test_permissions_are_the_usual_ones(saved):
    mask = os.umask(0)
    os.umask(mask)
    assert saved.stat().st_mode & 0o777 == 0o666 & ~mask


def test_no_folder(tmp_path):
    with pytest.raises(FileNotFoundError):
        LogisticRegression().fit(X, Y).save(tmp_path / "none" / "model")
