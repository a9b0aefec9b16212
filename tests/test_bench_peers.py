"""The race: run at a tiny size.

Its judging is checked against plain formulas, and its tables are made from a small recorded result.
"""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT / "bench"))

import peers  # noqa: E402
from race import child, problems, referee, report  # noqa: E402
from race.calls import Fitted  # noqa: E402
from race.contestants import CONTESTANTS, Contestant, missing  # noqa: E402

LBFGS = "scikit-learn lbfgs"


# -- judging -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_the_objective_is_the_plain_formula_in_float64(dtype, order):
    rng = np.random.default_rng(1)
    X, w, b = np.asarray(rng.standard_normal((50, 3)), dtype, order=order), np.array([0.5, -2, 3]), 0.7
    y = rng.random(50) < 0.4
    side = np.where(y, 1.0, -1.0)
    expected = 2.5 * np.log(1 + np.exp(-side * (X.astype(float) @ w + b))).sum() + 0.5 * (w**2).sum()
    assert child.objective(X, y, w, b, C=2.5) == pytest.approx(expected, rel=1e-14)
    assert child.objective(X * 1e6, y, w, b, C=1) < np.inf  # margins in the millions


def test_the_objective_adds_up_chunks():
    X = np.ones((5000, 2000), np.float32)  # more than one chunk
    y = np.arange(5000) % 2
    assert child.objective(X, y, np.zeros(2000), 0.0, C=1) == pytest.approx(5000 * np.log(2), rel=1e-14)


def test_a_slice_has_both_classes_and_the_layout():
    X, y = np.asfortranarray(np.arange(2000.0).reshape(1000, 2)), np.zeros(1000, np.uint8)
    y[-3:] = 1
    some, labels = child.slice_of(X, y, 20)
    assert labels.tolist() == [0] * 10 + [1] * 3 and some.flags.f_contiguous and some[-1, 0] == X[-1, 0]


def test_peak_memory_is_seen_and_forgotten():
    child.forget_peak()
    held = child.memory()
    del held
    ground = child.memory()
    large = np.ones(10_000_000)
    large = None
    assert large is None and 70e6 < child.memory(peak=True) - ground < 120e6
    child.forget_peak()
    assert child.memory(peak=True) - ground < 40e6


# -- data ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "case", [name for name, case in problems.CASES.items() if case.rows and "-C" not in name]
)
def test_generated_cases_are_float32_and_the_same_every_time(case):
    X, y = problems.load(case, 0.01)
    again, _ = problems.load(case, 0.01)
    numbers, same = (X.data, again.data) if "sparse" in problems.CASES[case].needs else (X, again)
    assert X.dtype == np.float32 and y.dtype == np.uint8 and np.isfinite(numbers).all()
    assert "sparse" in problems.CASES[case].needs or X.flags.c_contiguous
    rows = max(500, problems.CASES[case].rows // 100)
    assert X.shape == (rows, problems.CASES[case].features) and set(np.unique(y)) == set(range(y.max() + 1))
    assert (y.max() > 1) == ("classes" in problems.CASES[case].needs)
    np.testing.assert_array_equal(numbers, same)


@pytest.mark.parametrize("case, rate", [("rare-1M-60", 0.009), ("rarer-1M-60", 0.001)])
def test_rare_cases_are_as_rare_as_they_say(case, rate):
    assert problems.load(case, 0.05)[1].mean() == pytest.approx(rate, rel=0.4)


def test_the_ill_conditioned_case_is_ill_conditioned():
    X, _ = problems.load("ill-1M-100", 0.02)
    assert 0.5e4 < np.linalg.cond(np.cov(X.T.astype(float))) < 2e4


def test_real_data_are_read_from_the_folder(tmp_path):
    assert "--data" in problems.absent("spambase", None) and "spam.data" in problems.absent(
        "spambase", tmp_path
    )
    assert problems.absent("breast-cancer", None) is None
    (tmp_path / "spambase").mkdir()
    (tmp_path / "magic04").mkdir()
    (tmp_path / "a9a").mkdir()
    np.savetxt(tmp_path / "spambase" / "spam.data", [[1.0, 2, 1], [3, 4, 0]])
    (tmp_path / "magic04" / "magic04.data").write_text("1,2,g\n3,2,h\n")
    (tmp_path / "a9a" / "a9a").write_text("-1 1:1 3:1\n+1 2:1\n")
    X, y = problems.load("spambase", folder=tmp_path)
    assert X.tolist() == [[1, 2], [3, 4]] and y.tolist() == [1, 0]
    X, y = problems.load("magic04", folder=tmp_path)
    assert X.tolist() == [[-1, 0], [1, 0]] and y.tolist() == [1, 0]  # standardised, the constant column too
    X, y = problems.load("a9a", folder=tmp_path)
    assert X.tolist() == [[1, 0, 1], [0, 1, 0]] and y.tolist() == [0, 1]


# -- the race itself -----------------------------------------------------------------------------------------


def test_the_race_runs_and_is_not_run_twice(tmp_path):
    command = [
        sys.executable,
        "bench/peers.py",
        "--quick",
        "--rows-scale",
        "0.1",
        "--cases",
        "tall-3M-30,spambase",
        "--peers",
        LBFGS,
        "--output",
        str(tmp_path),
        "--fits-only",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "peers.json").read_text())
    assert list(results["cases"]) == ["tall-3M-30"] and "spambase" in results["left_out"]
    for case in results["cases"]:
        best = report.optimum(results, case)
        assert report.gap(results["references"][case]["value"], best) < 1e-9
        for name in ("ours", LBFGS):
            runs = [run for run in results["runs"] if (run["case"], run["contestant"]) == (case, name)]
            assert runs and all(run["status"] == "ok" and run["memory_MB"] >= 0 for run in runs)
            assert report.standing(results, case, name)["targets"][1e-6]["seconds"] > 0, report.table(results)
    assert "### tall-3M-30: 6,000 × 30" in done.stdout and "Not raced: spambase" in done.stdout
    assert (tmp_path / "peers.svg").read_text().startswith("<svg")
    assert str(ROOT) not in (tmp_path / "peers.json").read_text()

    peers.main(command[2:])
    assert json.loads((tmp_path / "peers.json").read_text())["runs"] == results["runs"]


def _sleep(X, y, C, threads, seconds):
    time.sleep(seconds)
    return Fitted(np.zeros(X.shape[1]), 0.0)


@pytest.fixture
def track(tmp_path):
    X = np.random.default_rng(0).standard_normal((300, 4)).astype(np.float32)
    return referee.Track(
        "a case", X, (X[:, 0] > 0).astype(np.uint8), tmp_path, threads=1, seconds=1.0, keep=[].append
    )


def test_a_run_out_of_time_is_recorded_and_the_next_one_goes_on(track):
    kept = []
    track.keep, track.seconds = kept.append, 1e-6
    track.climb(LBFGS)
    assert [(run["dtype"], run["status"], run["limit"]) for run in kept] == [
        (d, "timed out", 1e-6) for d in ("float32", "float64")
    ]
    track.seconds = 60.0
    assert track.run(LBFGS, "float32", {"tol": 1e-4})["status"] == "ok"


def test_what_a_peer_raises_and_how_it_dies_is_its_result(track):
    assert track.run(LBFGS, "float32", {"tol": -1.0})["status"].startswith("InvalidParameterError")
    assert track.run(LBFGS, "no such dtype", {"tol": 1.0})["status"].startswith("died: TypeError")


def test_reads_of_ours_are_counted_in_both_precisions_and_a_fresh_process_is_timed(track):
    found = track.reads()
    assert [entry["dtype"] for entry in found] == ["float32", "float64"] and all(
        entry["status"] == "ok" for entry in found
    )
    for entry in found:
        reads, values = zip(*entry["points"], strict=True)
        assert (
            list(reads) == sorted(reads)
            and reads[0] > 0
            and values[-1] < values[0] <= 300 * np.log(2) * (1 + 1e-7)
        )
    cold = track.run("ours", "float32", {"tol": 1e-6}, warm=False)
    assert cold["status"] == "ok" and cold["value"] == pytest.approx(found[1]["points"][-1][1], rel=1e-5)


def test_a_missing_peer_is_listed_as_missing(monkeypatch, capsys):
    monkeypatch.setitem(
        CONTESTANTS, "nobody", Contestant(_sleep, lambda m, n: [], "no_such_module", "no-such-package")
    )
    assert missing("nobody") == "no-such-package is not installed" and missing(LBFGS) is None
    peers.main(["--list"])
    assert "  nobody (no-such-package is not installed)" in capsys.readouterr().out
    peers.main(["--cases", "spambase"])  # nothing to race without --data
    said = capsys.readouterr().out
    assert "Missing: nobody (no-such-package is not installed)." in said and "Not raced: spambase" in said


def test_words_that_name_nothing_are_refused(capsys):
    for words in (["--cases", "nothing"], ["--peers", "nobody"]):
        with pytest.raises(SystemExit):
            peers.arguments(words)
        assert "expected some of" in capsys.readouterr().err
    assert peers.arguments(["--peers", "ours lbfgs,GLUM"]).names == ["ours", "ours lbfgs", "glum"]


def test_two_halves_of_a_race_must_be_alike(tmp_path):
    peers.Results(tmp_path / "peers.json", 2, 1.0).write()
    assert peers.Results(tmp_path / "peers.json", 2, 1.0).values["runs"] == []
    with pytest.raises(SystemExit, match="give another --output"):
        peers.Results(tmp_path / "peers.json", 1, 1.0)


# -- the report ----------------------------------------------------------------------------------------------


def _run(contestant, seconds, value, status="ok", **more):
    run = {"case": "a", "contestant": contestant, "dtype": "float32", "setting": {"tol": 1}, "status": status}
    if status == "ok":
        run |= {"seconds": seconds, "value": value, "iterations": 9, "reads": None, "memory_MB": 12.0}
    return run | more


RESULTS = {
    "machine": {"processor": "A processor", "memory_GiB": 8.0, "python": "3.12.0"},
    "threads": 2,
    "versions": {"numpy": "2.0", "glum": None},
    "missing": {"glum": "glum is not installed"},
    "left_out": {},
    "references": {"a": {"value": 100.0}},
    "cold": {},
    "cases": {"a": {"rows": 1000, "features": 7, "positives": 300, "about": "made up", "generated": True}},
    "runs": [
        _run("ours", 0.5, 100.0 * (1 + 5e-7), reads=4.5, plain_read_seconds=0.1),
        _run("ours", 0.4, 100.0 * (1 + 9e-5), reads=3.5),
        _run("ours", 0.8, 100.0 * (1 + 1e-12), reads=6.5),
        _run("slow", 2.0, 100.0 * (1 + 5e-5)),
        _run("slow", 9.0, 100.0 * (1 + 8e-7), dtype="float64"),
        _run("slow", 6.0, 100.0 * (1 + 9e-7), dtype="float64"),
        _run("never", 3.0, 100.0 * (1 + 3e-2)),
        _run("never", 0, 0, "timed out", limit=60),
        _run("broken", 0, 0, "ValueError: no"),
    ],
    "steps": [{"case": "a", "dtype": "float64", "points": [[1.5, 110.0], [2.5, 100.00005], [4.5, 100.0]]}],
}


def test_the_fastest_setting_that_reaches_a_target_counts():
    found = report.standing(RESULTS, "a", "slow")
    assert [run and run["seconds"] for run in found["targets"].values()] == [2.0, 6.0, None]
    assert report.ratio(RESULTS, "a", "slow") == 12 and report.ratio(RESULTS, "a", "never") is None
    assert report.ratio(RESULTS, "a", "slow", 1e-4) == 5 and report.ratio(RESULTS, "a", "ours") == 1


def test_the_reference_gives_way_to_anything_lower():
    lower = RESULTS | {"runs": [*RESULTS["runs"], _run("lower", 1.0, 99.0)]}
    assert report.optimum(RESULTS, "a") == 100 and report.optimum(lower, "a") == 99
    assert report.standing(lower, "a", "ours")["targets"][1e-4] is None


def test_reads_to_a_target_are_those_of_the_first_point_there():
    assert [report.reads_to(RESULTS, "a", "float64", target) for target in (0.2, 1e-6, 1e-10)] == [
        1.5,
        2.5,
        4.5,
    ]
    assert report.reads_to(RESULTS, "a", "float32", 1e-6) is None


def test_the_table_of_the_race_has_what_was_measured():
    text = report.table(RESULTS)
    rows = {
        line.split(" | ")[0][2:]: [cell.strip() for cell in line.strip("|").split(" | ")][1:]
        for line in text.splitlines()
        if re.match(r"\| \w", line)
    }
    assert rows["ours"] == ["0.4", "0.5", "0.8", "4.5 reads", "12", "1"]
    assert (
        rows["slow"][:3] == ["2", "6 (float64)", "not reached (best 8e-07 in 9 s)"]
        and rows["slow"][-1] == "12"
    )
    assert rows["never"][:2] == ["not reached (best 3e-02 in 3 s; stopped at 60 s)", "—"]
    assert rows["broken"][0] == "not reached (no answer; ValueError: no)"
    assert list(rows) == ["ours", "slow", "never", "broken"]  # ours, then by time to 1e-6
    assert (
        "Missing: glum (glum is not installed)." in text
        and "5 plain reads of X" in text
        and "float64 2.5 / 4.5" in text
    )


def test_the_picture_has_a_panel_a_case_and_names_all():
    text = report.picture(RESULTS)
    assert text.startswith("<svg") and text.count('id="axes_') == 1
    assert report._front([(3, 0.1), (1, 0.5), (2, 0.7), (2, 0.2)]) == [(1, 0.5), (2, 0.2), (3, 0.1)]
