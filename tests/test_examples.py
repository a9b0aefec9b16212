"""The scripts of `logreg-accel examples`, each run as a user runs it, with what it teaches checked."""

import runpy
import shutil
import sys

import numpy as np
import pytest
from command_line import run

from logreg_accel.cli.examples import found

pytest.importorskip("matplotlib")


def descent(got):
    assert got["paths"][0.03][15] == pytest.approx(-0.2139, abs=5e-5)
    ends = {step: abs(points[-1] + 3 / 14) for step, points in got["paths"].items()}
    signs = np.sign(got["paths"][0.13] + 3 / 14)
    assert ends[0.03] < 1e-3 and ends[0.15] > abs(1 + 3 / 14) and (signs[1:] != signs[:-1]).all()


def memory(got):
    error = 6 * got["clf"].n_features_in_ / np.sqrt(4 * len(got["X"]))
    assert got["clf"].status_ == "converged" and abs(got["clf"].coef_[0] - got["truth"]).max() < error


TEACHES = {
    "accelerated": lambda got: set(got["seconds"]) == {"as it is", "accelerated"},
    "decision_boundary": lambda got: got["clf"].score(got["X"], got["y"]) > 0.8,
    "error_bars": lambda got: (
        (abs(got["result"].params[1:] - got["truth"]) < 4 * got["result"].bse[1:]).all()
        and got["result"].pvalues[5] > 0.01 > got["result"].pvalues[1:5].max()
    ),
    "gradient_descent": descent,
    "larger_than_memory": memory,
    "lost_worker": lambda got: (
        got["left"] == [2]
        and got["clf"].status_ == "converged"
        and np.array_equal(got["clf"].coef_, got["alone"].coef_)
    ),
    "mini_batches": lambda got: got["gaps"][32][-1] < 1e-2 and got["newton"][-1] < 1e-10,
    "newton": lambda got: got["norms"][5] < 1e-8 and got["norms"][3] < got["norms"][2] ** 1.5,
    "own_optimiser": lambda got: got["result"].fun / got["best"] - 1 < 1e-6,
    "probe": lambda got: len(got["path"].models) == 45 and got["accuracy"].max() > 0.85,
    "sentiment": lambda got: got["model"].score(got["test"], got["y_test"]) > 0.8,
    "softmax": lambda got: abs(got["by_hand"] - got["probability"]).max() < 1e-12,
}


def test_every_example_is_checked():
    assert set(TEACHES) == set(found())


FEWER = {"larger_than_memory": ("range(4)", "range(1)")}  # files of their size, but for the slow run


@pytest.mark.parametrize(
    "name, whole",
    [
        *((name, False) for name in TEACHES),
        *(pytest.param(name, True, marks=pytest.mark.slow) for name in FEWER),
    ],
)
def test_an_example(name, whole, tmp_path, monkeypatch, capsys):
    import matplotlib.pyplot as plt

    if name in ("larger_than_memory", "error_bars"):
        pytest.importorskip("pyarrow")
    if name == "lost_worker":
        pytest.importorskip("distributed", reason="the example of a cluster needs Dask's distributed")
    assert run("examples", name, "--output", tmp_path / "here") == 0
    monkeypatch.chdir(tmp_path)
    script = tmp_path / "here" / f"{name}.py"
    if name in FEWER and not whole:
        many, few = FEWER[name]
        assert many in script.read_text()
        script.write_text(script.read_text().replace(many, few))
    plt.switch_backend("agg")
    try:
        got = runpy.run_path(str(script))
    finally:
        plt.close("all")
    assert (tmp_path / f"{name}.svg").stat().st_size < 1_000_000 and capsys.readouterr().out
    holds = TEACHES[name](got)
    assert holds is None or holds


def test_a_cluster_without_dask(tmp_path, monkeypatch):
    """One sentence says what to install."""
    assert run("examples", "lost_worker", "--output", tmp_path) == 0
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(SystemExit, match=r"needs Dask: pip install 'logreg-accel\[dask\]'"):
        runpy.run_path(str(tmp_path / "lost_worker.py"))


def test_examples_are_listed_and_written(tmp_path, capsys):
    code, out, _ = run("examples", capsys=capsys)
    assert code == 0 and all(name in out for name in TEACHES) and max(map(len, out.splitlines())) < 80
    assert run("examples", "all", "--output", tmp_path) == 0
    assert {path.stem for path in tmp_path.glob("*.py")} == set(TEACHES)
    code, _, err = run("examples", "probe", "--output", tmp_path, capsys=capsys)
    assert code == 2 and "exists" in err
    shutil.rmtree(tmp_path)
    code, _, err = run("examples", "prob", "--output", tmp_path, capsys=capsys)
    assert code == 2 and "expected all" in err and not tmp_path.exists()
