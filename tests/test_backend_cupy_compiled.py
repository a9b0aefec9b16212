"""Compiled kernels on disk: what a second process compiles; files that are damaged or cannot be written."""

import contextlib
import functools
import os
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from cuda_on_cpu import device_array, fake_cupy

from conftest import draw
from logreg_accel import LogisticRegression
from logreg_accel.backends import detect
from logreg_accel.kernels.cuda import caching


@pytest.fixture
def folder(emulated_kernels, monkeypatch, tmp_path):
    """The folder of compiled kernels, which does not exist yet."""
    if emulated_kernels is None:
        pytest.skip("a GPU is there, and its compiler is not counted")
    monkeypatch.setattr(emulated_kernels, "folder", tmp_path / "kept")
    return tmp_path / "kept"


def compiled_by(kernels, fit):
    """Kernels that a fit compiles, and its coefficients; as in a new process, no module is loaded yet."""
    with fake_cupy.in_place_of_cupy(kernels):
        fake_cupy.counts.clear()
        model = fit()
        return fake_cupy.counts["compilations"], model.coef_


def newton():
    X, y, _, _ = draw(300, 6, "float32")
    return LogisticRegression(backend="cupy", solver="newton-cholesky").fit(X, y)


def test_a_second_process_compiles_nothing(emulated_kernels, folder):
    first, expected = compiled_by(emulated_kernels, newton)
    assert first == len(list(folder.glob("*.cubin"))) == len(list(folder.glob("*.json"))) > 2
    assert len(list(folder.iterdir())) == 2 * first, "nothing unfinished is left"
    second, coef = compiled_by(emulated_kernels, newton)
    assert second == 0
    np.testing.assert_array_equal(coef, expected)


@pytest.mark.parametrize("solver", ["newton-subsampled", "newton-cholesky", "newton-cg", "lbfgs"])
@pytest.mark.parametrize("place", ["host", "host, weighted", "device"])
def test_with_an_empty_cache_of_cupy_s_a_second_process_asks_no_compiler(
    emulated_kernels, folder, solver, place
):
    """This holds for the package's kernels and for those that CuPy compiles for its own functions."""
    X, y, s, _ = draw(6000, 21, "float32", weighted="weighted" in place)

    def fit():
        device_array.compiled.clear()
        there = (fake_cupy.asarray(X), fake_cupy.asarray(y)) if place == "device" else (X, y)
        model = LogisticRegression(backend="cupy", solver=solver, tol=1e-6).fit(*there, s)
        assert model.status_ == "converged" and fake_cupy.counts["templates"] == 0, device_array.compiled
        return model

    assert compiled_by(emulated_kernels, fit)[0] > 2
    assert compiled_by(emulated_kernels, fit)[0] == 0


@pytest.mark.parametrize(
    "kind, damage", [("cubin", b""), ("cubin", "half"), ("cubin", None), ("json", b"{}"), ("json", "half")]
)
def test_a_damaged_file_is_made_again(emulated_kernels, folder, kind, damage):
    first, _ = compiled_by(emulated_kernels, newton)
    file = next(folder.glob(f"*.{kind}"))
    whole = file.read_bytes()
    if damage is None:
        file.unlink()
    else:
        file.write_bytes(whole[: len(whole) // 2] if damage == "half" else damage)
    assert compiled_by(emulated_kernels, newton)[0] == 1 and file.read_bytes() == whole
    assert compiled_by(emulated_kernels, newton)[0] == 0


@pytest.mark.parametrize("home", ["a file", None])
def test_where_nothing_can_be_kept_a_process_compiles_for_itself(emulated_kernels, folder, monkeypatch, home):
    if home:
        folder.write_text("in the way")
    else:
        monkeypatch.setattr(emulated_kernels, "folder", None)
    for _ in range(2):
        count, _ = compiled_by(emulated_kernels, newton)
        assert count > 2
    assert not folder.is_dir()


def test_threads_that_compile_at_once_share_the_folder_of_their_process(monkeypatch):
    """Two threads each made a folder, and that of the first one was removed while it wrote to it."""
    make, both = tempfile.TemporaryDirectory, threading.Barrier(2)

    def slowly(**named):
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(0.2)  # until the other thread makes a folder, too, if it may
        return make(**named)

    monkeypatch.setattr(tempfile, "TemporaryDirectory", slowly)
    monkeypatch.setattr(caching, "_temporary", functools.cache(caching._temporary.__wrapped__))
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: caching._of_this_process(), range(2)))
    assert found[0] == found[1] and found[0].is_dir()


def test_what_was_compiled_otherwise_is_not_taken(folder):
    """Another source, architecture, option or compiler gives another key, and no two kernels share a file."""
    keys = [("a", "sm_90"), ("a", "sm_80"), ("b", "sm_90")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(caching, "folder", lambda: folder)
        kept = [caching.keep(key, f"name{i}", str(key).encode()) for i, key in enumerate(keys)]
        assert [caching.found(key) for key in keys] == kept and len(set(kept)) == 3
        assert caching.found(("a", "sm_100")) is None


def test_keys_tell_versions_and_devices_apart(emulated_kernels, folder, monkeypatch):
    asked = []
    monkeypatch.setattr(caching, "found", lambda key: asked.append(key))
    for version, capability in [("13.0", "90"), ("13.1", "90"), ("13.1", "80")]:
        monkeypatch.setattr(fake_cupy.Device, "compute_capability", capability)
        with fake_cupy.in_place_of_cupy(emulated_kernels):
            from logreg_accel.backends.cupy import compiler

            monkeypatch.setattr(
                compiler, "_versions", lambda version=version: (("nvidia-cuda-nvrtc", version),)
            )
            monkeypatch.setattr(compiler, "_compile", lambda *what: ("name", b'{"name": 1}'))
            with pytest.raises(KeyError):
                compiler.kernel("made.cu", "made_rows<float, float, true>")
    assert len(set(asked)) == 3


def test_two_processes_that_write_at_once_leave_whole_files(tmp_path):
    """Each process finds a whole kernel or none while the other one writes."""
    code = (
        "import sys\nfrom pathlib import Path\nfrom logreg_accel.kernels.cuda import caching\n"
        "caching.folder = lambda: Path(sys.argv[1])\n"
        "for i in range(200):\n"
        "    caching.keep('key', 'name', bytes(100_000))\n"
        "    one = caching.found('key')\n"
        "    assert one and Path(one.path).stat().st_size == 100_000\n"
    )
    both = [subprocess.Popen([sys.executable, "-c", code, tmp_path / "kept"]) for _ in range(2)]
    assert [one.wait(timeout=120) for one in both] == [0, 0]
    assert len(list((tmp_path / "kept").iterdir())) == 2


def test_a_device_that_the_compiler_does_not_know_gets_its_newest_language(emulated_kernels, folder):
    """A device that the compiler knows gets machine code; others get PTX, which the driver translates."""
    options = []

    def recorded(program, given):
        options.append(given[0])
        fake_cupy._compile_program(program, given)

    with fake_cupy.in_place_of_cupy(emulated_kernels):
        from logreg_accel.backends.cupy import compiler

        compiler.cupy.cuda.nvrtc.compileProgram = recorded
        for capability in (80, 86, 130):
            compiler._compile("", "name", capability)
    assert options == ["-arch=sm_80", "-arch=compute_80", "-arch=compute_90"]


@pytest.mark.parametrize("writable", [True, False])
def test_cupy_can_be_imported_where_the_home_cannot_be_written(monkeypatch, tmp_path, writable):
    """CuPy makes a folder when it is imported and writes to it whenever it compiles."""
    home = tmp_path / "home"
    if writable:
        home.mkdir()
    else:
        home.write_text("in the way")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("CUPY_CACHE_DIR", "")
    monkeypatch.delenv("CUPY_CACHE_DIR")
    detect.give_cupy_a_folder()
    place = os.environ.get("CUPY_CACHE_DIR")
    assert (place is None) == writable and (writable or Path(place).is_dir())


def test_kernels_of_all_widths_are_compiled_ahead(emulated_kernels, folder):
    """`logreg-accel doctor --warm` does this; the test compiles only the narrowest ones."""
    with fake_cupy.in_place_of_cupy(emulated_kernels):
        from logreg_accel.backends.cupy import dense

        told = list(dense.compile_ahead("float32", most=8))
    assert told == [(i, 10) for i in range(1, 11)] and len(list(folder.glob("*.cubin"))) == 10
