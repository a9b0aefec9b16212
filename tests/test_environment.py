"""Surroundings in which Numba is of less use, or of none."""

import os
import resource
import subprocess
import sys
import textwrap

import pytest

START = """
    import numpy as np, logreg_accel as la
    rng = np.random.default_rng(0)
    X, y = rng.random((20, 2)), np.arange(20) % 2
"""
LOOP = """
    from logreg_accel.kernels import cpu
    print(cpu.rows.read(np.ones((20, 3)), 0, 20), cpu.caching.CACHE)
"""


def told(*code, limit=None, **env):
    """What a process prints, with variables of the environment changed or (None) unset."""
    code = "".join(map(textwrap.dedent, (START, *code)))
    kept = {k: v for k, v in os.environ.items() if k not in ("XDG_CACHE_HOME", "NUMBA_CACHE_DIR")}
    kept = {name: value for name, value in {**kept, **env}.items() if value is not None}

    def limited():  # what a full disk is like
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    done = subprocess.run(
        [sys.executable, "-c", code],
        env=kept,
        capture_output=True,
        text=True,
        preexec_fn=limited,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("limit", [0, 5_000])
def test_a_full_disk_under_the_cache_does_not_end_a_fit(tmp_path, limit):
    """The disk is full from the start, or when a large piece is saved."""
    files = str(tmp_path / "cache")
    assert told(LOOP, limit=limit, XDG_CACHE_HOME=files) == f"60.0 {limit > 0}\n"
    left = [os.path.join(at, name) for at, _, names in os.walk(files) for name in names]
    assert all(os.path.getsize(path) <= limit and not path.endswith(".tmp") for path in left)


def test_a_damaged_cache_is_replaced(tmp_path):
    files, hits = str(tmp_path), "print(sum(cpu.rows.read.stats.cache_hits.values()))"
    assert told(LOOP, hits, XDG_CACHE_HOME=files) == "60.0 True\n0\n"
    for suffix in (".nbc", ".nbi"):
        for at, _, names in os.walk(files):
            for name in names:
                if name.endswith(suffix):
                    os.truncate(os.path.join(at, name), 10)
        assert told(LOOP, hits, XDG_CACHE_HOME=files) == "60.0 True\n0\n"
    assert told(LOOP, hits, XDG_CACHE_HOME=files) == "60.0 True\n1\n"


def test_a_cache_that_cannot_be_there(tmp_path):
    (tmp_path / "file").write_text("")
    assert told(LOOP, NUMBA_CACHE_DIR=str(tmp_path / "file"), TMPDIR=str(tmp_path)) == "60.0 False\n"
    assert os.listdir(tmp_path) == ["file"]


def test_no_home_and_an_unknown_user():
    """A container that runs under an arbitrary user number is like that."""
    unknown = """
        import pwd
        def unknown(_): raise KeyError
        pwd.getpwuid = unknown
    """
    assert told(unknown, LOOP, HOME=None) == "60.0 False\n"


WHY = """
    print(la.backends()["numba"])
    print(la.LogisticRegression(max_iter=2).fit(X, y).backend_)
    from logreg_accel.backends import get_backend
    print(get_backend("auto", 1 << 30)[1].reason)
    try:
        la.LogisticRegression(backend="numba").fit(X, y)
    except RuntimeError as error:
        print(error)
"""


def check_unusable(lines, reason):
    why, small, large, asked = lines
    assert reason in why and small == "numpy" and reason in large
    assert "`backend='numba'` cannot run here" in asked and reason in asked


def test_numba_without_its_compiler_is_reported():
    check_unusable(told(WHY, NUMBA_DISABLE_JIT="1").splitlines(), "NUMBA_DISABLE_JIT is set")


def test_a_numba_that_refuses_numpy_is_reported(tmp_path):
    (tmp_path / "numba").mkdir()
    (tmp_path / "numba" / "__init__.py").write_text(
        "raise ImportError('Numba needs NumPy 2.0 or less. Got NumPy 2.4.')"
    )
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    check_unusable(told(WHY, PYTHONPATH=path).splitlines(), "Numba needs NumPy 2.0 or less")


def test_no_numba_is_reported():
    missing = "import sys; sys.modules['numba'] = None\n"
    check_unusable(told(missing, WHY).splitlines(), "Numba is not installed; pip install numba")


def test_the_command_line_says_why_numba_cannot_be_used(tmp_path):
    (tmp_path / "x.csv").write_text("a,t\n1,0\n2,1\n3,0\n")
    train = ["train", str(tmp_path / "x.csv"), "--target", "t", "--model", str(tmp_path / "m")]
    both = f"""
        import sys
        from logreg_accel.cli import main
        sys.stderr = sys.stdout
        print(main(["doctor"]), "doctor")
        print(main([*{train}, "--backend", "numba"]), "train")
    """
    doctor, train = told(both, NUMBA_DISABLE_JIT="1").split("0 doctor\n")
    assert "NUMBA_DISABLE_JIT is set" in doctor
    assert "NUMBA_DISABLE_JIT is set" in train and train.endswith("2 train\n")
