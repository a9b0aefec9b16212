"""Checkpoints: a fit that ends anywhere goes on, and ends in the same bits; one of another fit is refused."""

import os
import signal
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest
import scipy.sparse

import logreg_accel
from conftest import draw
from logreg_accel import LogisticRegression, checkpoint, scan, small
from logreg_accel.data import packed


class Killed(BaseException):
    """Stands for kill -9."""


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(packed, "BLOCK", 1 << 15)
    monkeypatch.setattr(small, "suits", lambda *_: False)  # few numbers alone have no answers to keep


def problem(kind):
    X, y, _, _ = draw(6000, 6)
    rng = np.random.default_rng(1)
    y = (X @ rng.standard_normal(6) + rng.standard_normal(6000) > 0.4).astype(int)
    if kind == "classes":
        y = y + (X[:, 0] > 1)
    if kind == "sparse":
        X = scipy.sparse.csr_array(np.where(abs(X) > 1, X, 0))
    if kind == "float32":
        X = X.astype(np.float32)
    return X, y


def data(X, y, streamed):
    if not streamed:
        return X, y
    return (scan(lambda: ((X[a : a + 1700], y[a : a + 1700]) for a in range(0, 6000, 1700))),)


SETTINGS = {
    "float64": {},
    "float32": {"C": np.inf},
    "classes": {},
    "sparse": {"l1_ratio": 0.5, "C": 0.02},
    "lbfgs": {"solver": "lbfgs"},
    "newton-cg": {"solver": "newton-cg"},
    "by norms": {"solver": "newton-cholesky"},
}


def told(model):
    return model.coef_, model.intercept_, model.n_passes_, model.suboptimality_bound_, len(model.history_)


def same(one, other):
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "in memory"])
@pytest.mark.parametrize("kind", SETTINGS)
def test_a_fit_that_was_killed_goes_on(kind, streamed, tmp_path, monkeypatch):
    """It is killed after each answer in turn, half of the times while the record is being written."""
    X, y = problem(kind)
    model, path = LogisticRegression(**SETTINGS[kind]), tmp_path / "log"
    expected = told(model.fit(*data(X, y, streamed)))
    write, kills = checkpoint._write, 0

    def killed(file, content, offset=None):
        write(file, content[: len(content) // 2] if kills % 2 else content, offset)
        raise Killed

    done = False
    while not done:
        monkeypatch.setattr(checkpoint, "_write", killed)
        try:
            model.fit(*data(X, y, streamed), checkpoint=path)
            done = True  # all answers were there
        except Killed:
            kills += 1
        if kills in (4, 5):  # what a fit that goes on from here ends in
            monkeypatch.setattr(checkpoint, "_write", write)
            copy = tmp_path / f"{kills}"
            copy.write_bytes(path.read_bytes())
            same(told(model.fit(*data(X, y, streamed), checkpoint=copy)), expected)
    same(told(model), expected)
    assert kills >= 2


def test_little_is_read_again(tmp_path, monkeypatch):
    """At most the evaluation under way and one for its margins are repeated; all else is in the log."""
    X, y = problem("float64")
    model, path = LogisticRegression(solver="lbfgs"), tmp_path / "log"

    def interrupt(record, w):
        if record.n_iter == 5:
            raise Killed

    with pytest.raises(Killed):
        model.set_params(callback=interrupt).fit(X, y, checkpoint=path)
    reads, run = [], logreg_accel.rows.MemoryRows._over_blocks

    def counted(self, pass_, blocks):
        reads.append(pass_.reads * (self.share > 0))
        return run(self, pass_, blocks)

    monkeypatch.setattr(logreg_accel.rows.MemoryRows, "_over_blocks", counted)
    expected = told(model.set_params(callback=None).fit(X, y))
    whole = sum(reads)
    reads.clear()
    same(told(model.fit(X, y, checkpoint=path)), expected)
    assert sum(reads) <= whole - 5 + 2


def test_budgets_leave_a_checkpoint_that_goes_on(tmp_path):
    X, y = problem("classes")
    expected = told(LogisticRegression().fit(X, y))
    path = tmp_path / "log"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for passes in (1, 2, 3, 4):
            LogisticRegression(max_passes=passes).fit(X, y, checkpoint=path)
        LogisticRegression(max_iter=1).fit(X, y, checkpoint=path)
        LogisticRegression(max_seconds=1e-9).fit(X, y, checkpoint=path)
    same(told(LogisticRegression().fit(X, y, checkpoint=path)), expected)


def test_another_fit_is_refused_with_what_differs(tmp_path):
    X, y = problem("float64")
    path = tmp_path / "log"
    LogisticRegression().fit(X, y, checkpoint=path)
    other = X.copy()
    other[4321, 2] = np.nextafter(other[4321, 2], 9)
    for model, arguments, message in (
        (LogisticRegression(C=2.0), (X, y), "C was 1.0 and is 2.0"),
        (LogisticRegression(solver="lbfgs"), (X, y), "solver was .* and is "),
        (LogisticRegression(), (other, y), "data was .* and is "),
        (LogisticRegression(), (-X, y), "data was .* and is "),
        (LogisticRegression(), (X, np.roll(y, 1)), "data was .* and is "),
        (LogisticRegression(), (X, y, np.arange(6000.0)), "data was .* and is "),
        (LogisticRegression(backend="numba"), (X, y), "backend was .* and is "),
    ):
        before = path.read_bytes()
        with pytest.raises(ValueError, match=f"checkpoint of another fit: .*{message}"):
            model.fit(*arguments, checkpoint=path)
        assert path.read_bytes() == before
    LogisticRegression(max_iter=7, verbose=0, n_threads=1).fit(X, y, checkpoint=path)


def test_files_that_are_no_checkpoint(tmp_path):
    X, y = problem("float64")
    path = tmp_path / "log"
    expected = told(LogisticRegression().fit(X, y, checkpoint=path))
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for trial in range(24):
        content = bytearray(whole)
        if trial < 8:
            content = content[: int(len(content) * trial / 8)]
        else:
            content[rng.integers(len(content)) if trial > 12 else rng.integers(300)] ^= 1 << rng.integers(8)
        path.write_bytes(content)
        try:
            same(told(LogisticRegression().fit(X, y, checkpoint=path)), expected)
        except ValueError as error:
            assert "checkpoint" in str(error)
    path.write_bytes(b"some notes of mine, which nobody wants to lose")
    with pytest.raises(ValueError, match="is not a checkpoint"):
        LogisticRegression().fit(X, y, checkpoint=path)
    assert path.read_bytes().startswith(b"some notes")
    with pytest.raises(FileNotFoundError):
        LogisticRegression().fit(X, y, checkpoint=tmp_path / "no" / "log")
    with checkpoint.opened(tmp_path / "busy", {}), pytest.raises(BlockingIOError, match="another fit"):
        LogisticRegression().fit(X, y, checkpoint=tmp_path / "busy")
    with pytest.raises(ValueError, match="`checkpoint`.*'sgd'"):
        LogisticRegression(solver="sgd").fit(X, y, checkpoint=tmp_path / "sgd")


CHILDREN = """
import os
import sys
import numpy as np
from logreg_accel import LogisticRegression, scan
from logreg_accel.data import packed
packed.BLOCK = 1 << 16
def fit(folder):
    source = scan(folder + "/X-*.npy", target=folder + "/y-*.npy", cache=folder + "/cache")
    model = LogisticRegression(backend="numpy", tol=1e-12).fit(source, checkpoint=folder + "/log")
    np.save(folder + "/coef.npy", np.append(model.coef_, model.intercept_))
LogisticRegression(backend="numpy").fit([[0.0], [1.0]], [0, 1])  # imports all that a fit takes
for line in sys.stdin:
    child = os.fork()
    if not child:
        fit(sys.argv[1])
        os._exit(0)
    print(child, flush=True)
    sys.stdin.readline()  # until then the number is the child's, should it have ended
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Children:
    """Fits one after another, each in a process of its own; their parent alone imports what they need."""

    def __init__(self, folder):
        self.parent = subprocess.Popen(
            [sys.executable, "-c", CHILDREN, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def _answer(self):
        self.parent.stdin.write("\n")
        self.parent.stdin.flush()
        return int(self.parent.stdout.readline())

    begin = _answer  # its number
    end = _answer  # how the one that was begun ended

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.parent.communicate(timeout=300)


@pytest.mark.parametrize("rounds", [1, pytest.param(50, marks=pytest.mark.slow)])
def test_kill_9_at_random_moments(tmp_path, rounds):
    """A child process is killed at random moments and ends with the same bits each time."""
    X, y, _, _ = draw(60_000, 30)
    for i in range(3):
        rows = slice(20_000 * i, 20_000 * (i + 1))
        np.save(tmp_path / f"X-{i}.npy", X[rows])
        np.save(tmp_path / f"y-{i}.npy", y[rows])
    with Children(tmp_path) as children:
        children.begin()
        began = time.perf_counter()
        assert children.end() == 0
        took, expected = time.perf_counter() - began, np.load(tmp_path / "coef.npy")
        rng, killed = np.random.default_rng(0), 0
        for _ in range(rounds):
            for name in ("log", "coef.npy"):
                (tmp_path / name).unlink(missing_ok=True)
            if rng.random() < 0.5:
                subprocess.run(["rm", "-r", tmp_path / "cache"])
            while True:
                child = children.begin()
                time.sleep(took * rng.random())
                os.kill(child, signal.SIGKILL)
                killed += children.end() == -signal.SIGKILL
                if (tmp_path / "coef.npy").exists() or rng.random() < 0.5:
                    break
            children.begin()
            assert children.end() == 0
            np.testing.assert_array_equal(np.load(tmp_path / "coef.npy"), expected)
    assert killed >= 0.8 * rounds
