"""Saved models: what comes back, and what is refused."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest

from conftest import draw
from logreg_accel import LogisticRegression, load, solvers
from logreg_accel.persistence import archive, model

X, Y, _, _ = draw(60, 3)


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
    [
        np.array([1, 2]),
        np.array([1, 2**63], dtype=np.uint64),
        np.array([False, True]),
        np.array([-1.0, 1.0]),
        np.array([1, 2], dtype=np.float16),
        np.array(["a", "ü\ud800"]),
        np.array(["", "a"], dtype="U9"),
        np.array(["a", "b"], dtype=object),
        np.array(["2020-01-01", "2021-01-01"], dtype="datetime64[D]"),
        np.array(["2020-01-01", "2021-01-01"], dtype="datetime64[ns]"),
        np.array([1, 90], dtype="timedelta64[m]"),
        np.array([1, 90], dtype="timedelta64"),
    ],
    ids=lambda labels: labels.dtype.str,
)
def test_labels_come_back(tmp_path, labels):
    clf = LogisticRegression().fit(X, labels[Y])
    clf.save(tmp_path / "m")
    again = load(tmp_path / "m")
    assert again.classes_.tolist() == labels.tolist() and again.classes_.dtype == labels.dtype
    assert np.array_equal(again.predict(X), clf.predict(X))


@pytest.mark.parametrize(
    "labels", [np.array(["no", "yes"]), np.array(["2020", "2021"], dtype="datetime64[D]")]
)
def test_labels_that_an_earlier_version_wrote_as_text(tmp_path, labels):
    header, arrays = model.pack(LogisticRegression().fit(X, labels[Y]))
    del arrays["classes"]
    header.update(classes=[str(label) for label in labels], classes_dtype=labels.dtype.str)
    archive.save_arrays(tmp_path / "m", header, arrays)
    again = load(tmp_path / "m").classes_
    assert again.dtype == labels.dtype and again.tolist() == labels.tolist()


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
            found = load(flipped)
        except ValueError:
            continue
        harmless += 1
        for name in ("coef_", "intercept_", "classes_"):
            assert np.array_equal(getattr(found, name), getattr(expected, name))
        assert found.get_params() == expected.get_params()
    assert harmless < bits * len(whole) / 2  # a zip has fields that nobody reads: dates, attributes


def test_a_newer_schema_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "SCHEMA", 2)
    LogisticRegression().fit(X, Y).save(tmp_path / "new")
    monkeypatch.undo()
    with pytest.raises(ValueError, match="schema 2; this version of logreg_accel reads up to 1. Upgrade"):
        load(tmp_path / "new")


def test_what_is_no_model_is_refused(tmp_path):
    np.savez(tmp_path / "other.npz", coef=np.ones(3))
    with pytest.raises(ValueError, match="not a complete model file"):
        load(tmp_path / "other.npz")
    archive.save_arrays(tmp_path / "wrong", {"format": "else"}, {})
    with pytest.raises(ValueError, match="format 'else'"):
        load(tmp_path / "wrong")
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none")
