"""Model files that hold anything: `load` says ValueError in little memory, `save` writes no such file."""

import datetime
import io
import json
import os
import struct
import tracemalloc
import zipfile
from fractions import Fraction

import numpy as np
import pytest

from conftest import draw
from logreg_accel import LogisticRegression, load, solvers
from logreg_accel.persistence import archive, model

X, Y, _, _ = draw(60, 3)


def fitted(**parameters):
    return LogisticRegression(**parameters).fit(X, np.array(["no", "yes"], dtype=object)[Y])


def written(path, header, arrays):
    """A file with a right checksum of whatever is given."""
    archive.save_arrays(path, header, arrays)
    return path


@pytest.fixture
def parts():
    header, arrays = model.pack(fitted(C=2.0))
    return json.loads(json.dumps(header)), dict(arrays)


# -- the file ------------------------------------------------------------------------------------------------


def load_in(bytes_at_most, path):
    tracemalloc.start()
    try:
        with pytest.raises(ValueError) as refused:
            load(path)
        assert tracemalloc.get_traced_memory()[1] < bytes_at_most
    finally:
        tracemalloc.stop()
    assert os.fspath(path) in str(refused.value)
    return str(refused.value)


def test_what_is_compressed_is_refused_before_it_is_read(tmp_path, parts):
    """Each of many members is smaller than the file, all of them are much larger."""
    noise = np.random.default_rng(0).integers(0, 256, 1 << 20, dtype=np.uint8)
    more = {f"zeros{i}": np.zeros(1 << 20, dtype=np.uint8) for i in range(100)}
    np.savez_compressed(tmp_path / "bomb.npz", noise=noise, **more)
    assert (tmp_path / "bomb.npz").stat().st_size > 1 << 20
    assert "is compressed" in load_in(2 << 20, tmp_path / "bomb.npz")


def test_members_that_share_bytes_are_refused(tmp_path):
    """A zip may list the same bytes a thousand times."""
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as whole:
        whole.writestr("coef.npy", bytes(1 << 20))
    raw = raw.getvalue()
    start, end = raw.rindex(b"PK\x01\x02"), raw.rindex(b"PK\x05\x06")
    entries = raw[start:end] * 1000
    tail = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1000, 1000, len(entries), start, 0)
    (tmp_path / "bomb").write_bytes(raw[:start] + entries + tail)
    with zipfile.ZipFile(tmp_path / "bomb") as readable:
        assert sum(len(readable.read(info)) for info in readable.infolist()[:3]) == 3 << 20
    assert "claim" in load_in(3 << 20, tmp_path / "bomb")


def test_a_list_of_very_many_members_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb", "w") as whole:
        for i in range(30_000):
            whole.writestr(f"{i}", b"")
    assert "at once" in load_in(2 << 20, tmp_path / "bomb")


@pytest.mark.parametrize(
    "shape, dtype",
    [((10**12,), "<f8"), ((2,), "<f8"), ((-1, -1), "<f8"), ((0,), "<f8"), ((10**12,), "<U0")],
)
def test_an_array_that_is_not_as_long_as_it_says(tmp_path, shape, dtype):
    member = io.BytesIO()
    np.lib.format.write_array_header_1_0(member, {"descr": dtype, "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(tmp_path / "bomb", "w") as whole:
        whole.writestr("coef.npy", member.getvalue() + bytes(8))
    assert "promises" in load_in(1 << 20, tmp_path / "bomb")


def test_nothing_is_unpickled(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (os.fspath(tmp_path / "evil"),)

    np.savez(tmp_path / "m.npz", coef=np.array([Evil()], dtype=object), sha256=np.zeros(32, dtype=np.uint8))
    load_in(1 << 20, tmp_path / "m.npz")
    assert not (tmp_path / "evil").exists()


def test_a_large_file_that_is_no_model_is_not_read(tmp_path):
    np.savez(tmp_path / "data.npz", X=np.zeros((1 << 10, 1 << 10)))
    with open(tmp_path / "data.npz", "r+b") as file:
        file.truncate(1 << 30)
    load_in(2 << 20, tmp_path / "data.npz")


# -- what stands in it ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", [[], 3, "text", None, {}, {"format": "logreg_accel"}])
def test_a_header_of_another_kind(tmp_path, header):
    members = {"header": np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)}
    np.savez(tmp_path / "m.npz", sha256=archive._digest(members), **members)
    with pytest.raises(ValueError, match="m.npz.*(format|schema)"):
        load(tmp_path / "m.npz")


@pytest.mark.parametrize("schema", ["1", None, True, 0, 1.0, [1]])
def test_a_schema_of_another_kind(tmp_path, parts, schema):
    header, arrays = parts
    with pytest.raises(ValueError, match="schema"):
        load(written(tmp_path / "m", {**header, "schema": schema}, arrays))


NAMES = ["kind", "params", "attributes", "backend", "solver", "classes", "classes_dtype"]
STRANGE = [None, 3, "text", [], [1, 2], ["a", "b", "c"], {}, {"a": 1}, {"float": "x"}]


@pytest.mark.parametrize("name", NAMES)
def test_any_value_in_any_place_of_the_header(tmp_path, parts, name):
    header, arrays = parts
    refused = 0
    for value in ["missing", *STRANGE]:
        changed = {key: item for key, item in header.items() if key != name or value != "missing"}
        if value != "missing":
            changed[name] = value
        try:
            load(written(tmp_path / "m", changed, arrays)).predict(X)
        except ValueError as error:
            assert "m' is not a usable model of logreg_accel" in str(error)
            refused += 1
    assert refused >= 9 if name != "params" else refused >= 7, "no parameters are those of the default"


@pytest.mark.parametrize("inner", ["params", "attributes"])
def test_any_value_in_any_place_of_its_dicts(tmp_path, parts, inner):
    header, arrays = parts
    refused = 0
    for name in header[inner]:
        for value in STRANGE:
            changed = {**header, inner: {**header[inner], name: value}}
            try:
                load(written(tmp_path / "m", changed, arrays)).predict(X)
            except ValueError as error:
                assert "m' is not a usable model" in str(error)
                refused += 1
    assert refused > 0.6 * len(STRANGE) * len(header[inner])


@pytest.mark.parametrize("name", ["fit", "__class__", "_state", "coef_", "classes_", "unknown_"])
def test_no_other_attribute_is_set(tmp_path, parts, name):
    header, arrays = parts
    header["attributes"][name] = "evil"
    with pytest.raises(ValueError, match=f"strange attributes: {name}"):
        load(written(tmp_path / "m", header, arrays))


@pytest.mark.parametrize("name", ["n_passes_", "suboptimality_", "status_", "n_features_in_"])
def test_every_attribute_must_be_there(tmp_path, parts, name):
    header, arrays = parts
    del header["attributes"][name]
    with pytest.raises(ValueError, match=f"'{name}' is missing"):
        load(written(tmp_path / "m", header, arrays))


def test_parameters_of_a_later_version_are_left_out(tmp_path, parts):
    header, arrays = parts
    header["params"]["later"] = 3
    assert load(written(tmp_path / "m", header, arrays)).get_params() == fitted(C=2.0).get_params()


ARRAYS = {
    "nan": ("coef", np.array([[1.0, np.nan, 2.0]]), "not finite"),
    "infinite": ("intercept", np.array([np.inf]), "not finite"),
    "one feature less": ("coef", np.zeros((1, 2)), "shape"),
    "two outputs": ("coef", np.zeros((2, 3)), "shape"),
    "flat": ("coef", np.zeros(3), "shape"),
    "integers": ("coef", np.zeros((1, 3), dtype=int), "dtype"),
    "text": ("coef", np.array([["a", "b", "c"]]), "dtype"),
    "structured": ("coef", np.zeros((1, 3), dtype="f4,f4"), "dtype"),
    "complex": ("intercept", np.zeros(1, dtype=complex), "dtype"),
    "no intercept": ("intercept", np.zeros(0), "shape"),
    "steps": ("n_iter", np.array([1.5]), "dtype"),
    "history": ("history", np.zeros((4, 3)), "shape"),
    "history of no steps": ("history", np.full((4, 8), np.nan), "not finite"),
    "history of one number": ("history", np.float64(1), ""),
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_arrays_that_cannot_be(tmp_path, parts, kind):
    name, array, words = ARRAYS[kind]
    header, arrays = parts
    with pytest.raises(ValueError, match=f"m' is not a usable model.*{words}"):
        load(written(tmp_path / "m", header, {**arrays, name: np.asarray(array)}))
    del arrays[name]
    with pytest.raises(ValueError, match=f"'{name}' is missing"):
        load(written(tmp_path / "m", header, arrays))


@pytest.mark.parametrize(
    "classes",
    [
        np.array([1, 0]),
        np.array([1, 1]),
        np.array([1]),
        np.array([[0, 1]]),
        np.array(3),
        np.array([0.0, np.nan]),
        np.array(["2020", "NaT"], dtype="datetime64[D]"),
        np.array([1j, 2j]),
        np.array([b"a", b"b"]),
        np.array([0, 1, 2]),
    ],
    ids=str,
)
def test_classes_that_cannot_be(tmp_path, parts, classes):
    header, arrays = parts
    del header["classes"], header["classes_dtype"]
    with pytest.raises(ValueError, match="m' is not a usable model"):
        load(written(tmp_path / "m", header, {**arrays, "classes": classes}))


@pytest.mark.parametrize("names", [["a", "b"], ["a", "b", 3], "abc", {"a": 1}, None])
def test_names_of_features_that_cannot_be(tmp_path, parts, names):
    header, arrays = parts
    with pytest.raises(ValueError, match="m' is not a usable model"):
        load(written(tmp_path / "m", {**header, "feature_names": names}, arrays))


def test_settings_of_a_solver_that_is_unknown(tmp_path, parts):
    header, arrays = parts
    for settings, words in (
        ({"name": "sag"}, "solver 'sag'"),
        ({"name": "gd", "speed": 1}, "speed"),
        ({"name": "gd", "step": -1}, "step"),
        ({}, "name"),
    ):
        header["params"]["solver"] = settings
        with pytest.raises(ValueError, match=words):
            load(written(tmp_path / "m", header, arrays))


# -- saving --------------------------------------------------------------------------------------------------


def spoilt(**attributes):
    clf = fitted()
    for name, value in attributes.items():
        setattr(clf, name, value)
    return clf


UNSAVABLE = {
    "weights that are NaN": (lambda: spoilt(coef_=np.full((1, 3), np.nan)), "not finite"),
    "weights of another shape": (lambda: spoilt(coef_=np.zeros((1, 4))), "shape"),
    "a parameter that no fit takes": (lambda: spoilt(C=-1), "`C`"),
    "names that are numbers": (lambda: spoilt(feature_names_in_=np.array([1, 2, 3], dtype=object)), "names"),
    "labels that are objects": (
        lambda: spoilt(classes_=np.array([Fraction(1, 2), Fraction(1)], dtype=object)),
        "Fraction",
    ),
    "weights of classes that are dates": (
        lambda: spoilt(class_weight={datetime.date(2020, 1, 1): 2.0}),
        "date",
    ),
}


@pytest.mark.parametrize("kind", UNSAVABLE)
def test_what_could_not_be_loaded_is_not_saved(tmp_path, kind):
    make, words = UNSAVABLE[kind]
    fitted().save(tmp_path / "m")
    before = (tmp_path / "m").read_bytes()
    with pytest.raises(ValueError, match=f"cannot be saved.*{words}"):
        make().save(tmp_path / "m")
    assert (tmp_path / "m").read_bytes() == before and os.listdir(tmp_path) == ["m"]


def test_parameters_of_any_number_type_come_back(tmp_path):
    clf = fitted(C=Fraction(1, 2), tol=np.float32(0.25), max_iter=np.int64(7), l1_ratio=np.float64(0.0))
    clf.save(tmp_path / "m")
    assert load(tmp_path / "m").get_params() == clf.get_params()


def test_settings_are_named_by_their_own_type(tmp_path):
    """The name is not that of the solver that the last fit used."""
    fitted().set_params(solver=solvers.sgd(step=0.5)).save(tmp_path / "m")
    assert load(tmp_path / "m").solver == solvers.sgd(step=0.5)
