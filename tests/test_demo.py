"""`logreg-accel demo`: its measurements are right, its words follow from them, its page is whole."""

import contextlib
import json

import numpy as np
import pytest
from command_line import run
from sklearn.datasets import load_iris
from test_report import checked

from conftest import draw
from logreg_accel import LogisticRegression
from logreg_accel.cli import demo, demo_measures


def quietly(text):
    return contextlib.nullcontext()


def test_the_demo_shows_and_tells(tmp_path, capsys, monkeypatch):
    small = {
        "breast cancer": demo_measures.real()["breast cancer"],
        "iris": (*load_iris(return_X_y=True), ""),
    }
    monkeypatch.setattr(demo_measures, "real", lambda: small)
    page = tmp_path / "page.html"
    given = ("demo", "--rows", 2000, "--features", 8, "--output", page)
    code, out, err = run(*given, "--json", capsys=capsys)
    report = json.loads(out)
    assert code == 0 and "without cupy" in err or "cupy" in str(report["backends"])
    races = [report["generated"], *report["real"].values()]
    for runs in races:
        assert [run["who"].split()[0] for run in runs] == ["logreg_accel", "scikit-learn", "scikit-learn"]
        assert runs[0]["suboptimality"] < 1e-6 and all(run["seconds"] > 0 for run in runs)
    assert {run["backend"] for run in report["backends"]} >= {"numpy", "numba"}
    assert all(run["difference"] < 1e-4 and run["status"] != "max_iter" for run in report["backends"])
    assert report["cross_validation"]["models"] == 50 and report["cross_validation"]["worst_bound"] <= 1e-6
    words = checked(page)[1]
    for runs in races:
        assert demo.verdict(runs) in words
    show = demo._Shown(silent=False)
    show.race("Generated", report["generated"])
    show.cross_validation(report["cross_validation"])
    show.backends(report["backends"], 2000)
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) < 80 and "50 models" in out and "faster" in out + "slower"


def test_a_busy_machine_is_told(monkeypatch):
    """Beside other processes, threads that wait for each other take many times as long."""
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    for load, told in ((0.1, False), (7.5, True)):
        monkeypatch.setattr("os.getloadavg", lambda load=load: (load, 0.0, 0.0))
        said = demo_measures.busy_elsewhere()
        assert (said is not None) == told and ("7.5 on 2 CPUs" in (said or "")) == told


@pytest.mark.parametrize("classes", [2, 3])
def test_the_judge_knows_the_objective(classes):
    X, y, _, _ = draw(300, 4)
    y = y + (X[:, 0] > 1) if classes == 3 else y
    fit = LogisticRegression().fit(X, y)
    expected = fit.history_[-1].value * len(y)
    assert demo_measures.objective(fit, X, y) == pytest.approx(expected, rel=1e-9)


def test_rows_larger_than_memory_are_fitted_as_in_memory():
    X, y = demo_measures.generated(3000, 5)
    found = demo_measures.streamed(X, y, 128, quietly)
    assert (
        found["status"] == "converged" and found["difference"] < 1e-4 and found["file_MB"] == X.nbytes / 1e6
    )
    assert "Larger than memory" in demo.stream_sentence(found)


def test_the_verdict_is_what_was_measured():
    ours = {"seconds": 2.0, "suboptimality": 1e-10, "chosen": "lbfgs on numpy", "first_seconds": 3.0}
    runs = [ours, {"who": "slow", "seconds": 30.0, "suboptimality": 1e-8}]
    assert "15 times faster than slow and 100 times closer to the optimum" in demo.verdict(runs)
    runs = [ours, {"who": "quick", "seconds": 1.0, "suboptimality": 1e-12}]
    assert "2.0 times slower than quick and as close to the optimum" in demo.verdict(runs)
    runs = [{**ours, "suboptimality": 1e-7}, {"who": "exact", "seconds": 2.0, "suboptimality": 1e-8}]
    assert "10 times farther from the optimum" in demo.verdict(runs)
    assert np.isclose(runs[0]["suboptimality"], 1e-7)
