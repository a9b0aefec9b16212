"""scikit-learn's class fitted by ours: patch_sklearn and `python -m logreg_accel.accelerate`."""

import logging
import os
import pickle
import re
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import sklearn
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import logreg_accel
from logreg_accel import accelerate, patch_sklearn, unpatch_sklearn

X, Y = load_breast_cancer(return_X_y=True)
X = StandardScaler().fit_transform(X)
modern = pytest.mark.skipif(
    "penalty" not in LogisticRegression().get_params(), reason="this scikit-learn has no `penalty`"
)


@pytest.fixture(autouse=True)
def patched(caplog):
    caplog.set_level(logging.INFO, logger="logreg_accel")
    patch_sklearn()
    yield
    unpatch_sklearn()


def by_us(caplog):
    return ["fitted by logreg_accel" in record.message for record in caplog.records]


def apart(**settings):
    """The same fit by scikit-learn, to its own tolerance's end."""
    unpatch_sklearn()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return LogisticRegression(**{"tol": 1e-10, "max_iter": 100_000, **settings})


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"C": 0.01, "fit_intercept": False},
        {"class_weight": "balanced", "solver": "newton-cg"},
        {"solver": "newton-cholesky"},
        {"l1_ratio": 1, "C": 0.1, "solver": "saga", "tol": 1e-6},
        {"l1_ratio": 0.5, "C": 0.1, "solver": "saga", "tol": 1e-6},
        {"solver": "liblinear", "fit_intercept": False},
    ],
    ids=str,
)
def test_patched_fits_have_scikit_learns_answers(settings, caplog):
    fit = LogisticRegression(**settings).fit(X, Y)
    assert by_us(caplog) == [True] and type(fit) is LogisticRegression
    peer = apart(**settings).fit(X, Y)
    if peer.solver in ("sag", "saga"):  # whose tol is about steps
        assert fit.score(X, Y) == pytest.approx(peer.score(X, Y), abs=0.01)
    else:
        np.testing.assert_allclose(fit.predict_proba(X), peer.predict_proba(X), atol=1e-3)
    for name in ("coef_", "intercept_", "classes_", "n_iter_"):
        a, b = (np.asarray(getattr(model, name)) for model in (fit, peer))
        if name == "intercept_" and settings.get("solver") == "liblinear":
            b = b.reshape(1)  # 0.0 there
        assert a.shape == b.shape and a.dtype == b.dtype, name


def test_several_classes_strings_weights_and_sparse_data():
    A, y = load_iris(return_X_y=True)
    s = np.random.default_rng(0).random(len(y)) + 0.5
    names = np.array(["x", "y", "z"])[y]
    fit = LogisticRegression().fit(scipy.sparse.csc_matrix(A), names, s)
    peer = apart().fit(A, names, s)
    np.testing.assert_allclose(fit.coef_, peer.coef_, atol=1e-3)
    assert (fit.predict(A) == peer.predict(A)).all()


@pytest.mark.parametrize("tol", [1e-2, 1e-4, 1e-8])
def test_the_tolerance_is_at_least_as_tight_by_scikit_learns_own_rule(tol):
    raw, y = load_breast_cancer(
        return_X_y=True
    )  # columns over five decades: a small gap can be a large gradient
    fit = LogisticRegression(tol=tol, max_iter=10_000).fit(raw, y)
    z = raw @ fit.coef_[0] + fit.intercept_[0]
    residual = 1 / (1 + np.exp(-z)) - y
    gradient = np.append(residual @ raw + fit.coef_[0], residual.sum()) / len(y)
    assert abs(gradient).max() <= tol


def test_float32_stays_and_integers_become_float64():
    assert LogisticRegression().fit(X.astype(np.float32), Y).coef_.dtype == np.float32
    for dtype in (np.int8, np.float16):
        assert LogisticRegression().fit(X.astype(dtype), Y).coef_.dtype == np.float64


@pytest.mark.parametrize(
    "settings, reason",
    [
        ({"solver": "liblinear"}, "penalises the intercept"),
        ({"solver": "liblinear", "dual": True, "fit_intercept": False, "random_state": 0}, "dual=True"),
    ],
)
def test_settings_that_mean_something_else_are_left_to_scikit_learn(settings, reason, caplog):
    fit = LogisticRegression(**settings).fit(X, Y)
    assert by_us(caplog) == [False] and reason in caplog.text
    assert (fit.coef_ == apart(**{"tol": 1e-4, "max_iter": 100, **settings}).fit(X, Y).coef_).all()


def test_no_steps_and_wide_indices_are_scikit_learns(caplog):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = LogisticRegression(max_iter=0, solver="newton-cg").fit(X, Y)
    assert by_us(caplog) == [False] and fit.n_iter_[0] == 0 and not fit.coef_.any()
    wide = scipy.sparse.csr_array(X)
    wide.indices, wide.indptr = wide.indices.astype(np.int64), wide.indptr.astype(np.int64)
    with pytest.raises(ValueError, match="32-bit"):
        LogisticRegression(solver="saga").fit(wide, Y)
    LogisticRegression().fit(wide, Y)
    assert by_us(caplog) == [False, False, True]


@pytest.mark.parametrize(
    "solver, words",
    [
        ("lbfgs", "lbfgs failed to converge after 2 iter"),
        ("newton-cg", "newton-cg failed to converge at loss"),
        ("newton-cholesky", "Newton solver did not converge after 2 iterations"),
        ("sag", "The max_iter was reached which means the coef_ did not converge"),
        ("saga", "The max_iter was reached which means the coef_ did not converge"),
    ],
)
def test_max_iter_is_told_in_the_words_of_the_solver(solver, words, caplog):
    with pytest.warns(sklearn.exceptions.ConvergenceWarning, match=words) as told:
        fit = LogisticRegression(solver=solver, max_iter=2).fit(X, Y)
    assert len(told) == 1 and told[0].filename == __file__
    assert by_us(caplog) == [True] and fit.n_iter_[0] == 2


@modern
@pytest.mark.parametrize(
    "settings, same",
    [
        ({"penalty": None}, {"C": np.inf}),
        ({"penalty": "l2", "C": 0.1}, {"C": 0.1}),
        ({"penalty": "l1", "solver": "saga", "C": 0.1, "l1_ratio": 1}, {"l1_ratio": 1, "C": 0.1}),
        ({"l1_ratio": None}, {}),
        ({"n_jobs": 2}, {}),
    ],
    ids=str,
)
def test_deprecated_arguments_are_taken_and_told(settings, same, caplog):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sklearn.exceptions.ConvergenceWarning)
        with pytest.warns(FutureWarning):
            fit = LogisticRegression(**settings).fit(X[:, :5], Y)
    assert by_us(caplog) == [True]
    ours = logreg_accel.LogisticRegression(**same).fit(X[:, :5], Y)
    np.testing.assert_allclose(fit.coef_, ours.coef_, atol=1e-3)


@pytest.mark.parametrize(
    "settings", [{"C": -1}, {"solver": "newton"}, {"tol": "x"}, {"l1_ratio": 1}, {"max_iter": "x"}], ids=str
)
def test_scikit_learns_own_errors(settings):
    with pytest.raises(ValueError):
        LogisticRegression(**settings).fit(X, Y)
    with pytest.raises(ValueError, match="class"):
        LogisticRegression().fit(X, np.ones(len(X)))


@modern
@pytest.mark.parametrize(
    "settings",
    [
        {"solver": "liblinear", "fit_intercept": False, "C": np.inf},
        {"penalty": "elasticnet", "l1_ratio": 0},
        {"penalty": "elasticnet", "l1_ratio": 1, "solver": "liblinear", "fit_intercept": False},
        {"penalty": "elasticnet", "l1_ratio": None, "solver": "saga"},
    ],
    ids=str,
)
def test_what_scikit_learn_refuses_is_refused(settings):
    with warnings.catch_warnings(), pytest.raises((ValueError, TypeError)):
        warnings.simplefilter("ignore")
        LogisticRegression(**settings).fit(X, Y)


def test_liblinear_of_three_classes_is_refused_by_scikit_learn():
    A, y = load_iris(return_X_y=True)
    with pytest.raises(ValueError):
        LogisticRegression(solver="liblinear", fit_intercept=False).fit(A, y)


def test_frames_keep_their_dtype():
    frame = pd.DataFrame(X.astype(np.float32)).add_prefix("column ")
    fit = LogisticRegression().fit(frame, Y)
    assert fit.coef_.dtype == np.float32 and fit.feature_names_in_[0] == "column 0"
    assert LogisticRegression().fit(frame.astype(np.float64), Y).coef_.dtype == np.float64


def test_a_class_that_was_imported_before_is_patched_too(caplog):
    """A pipeline, a search that clones it, a pickle and a warm start use the class that was imported before
    the patch."""
    search = GridSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression()), {"logisticregression__C": [0.1, 1.0]}, cv=2
    ).fit(X, Y)
    assert all(by_us(caplog)) and len(by_us(caplog)) == 5
    again = pickle.loads(pickle.dumps(search.best_estimator_))
    assert (again.predict(X) == search.predict(X)).all() and type(again[-1]).__module__.startswith("sklearn.")
    warm = LogisticRegression(warm_start=True).fit(X, Y)
    assert (warm.fit(X, Y).n_iter_ <= 3).all()


def test_the_patch_is_applied_once_and_undone():
    before = LogisticRegression.fit
    patch_sklearn()
    assert LogisticRegression.fit is before
    unpatch_sklearn()
    unpatch_sklearn()
    assert not hasattr(LogisticRegression.fit, "original")


def test_cross_validation_with_legacy_attributes_is_left_alone(caplog):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        LogisticRegressionCV(Cs=2, cv=2).fit(X, Y)
    assert by_us(caplog) == [False]


SCRIPT = """
import sys
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
X, y = make_classification(200, random_state=0)
print(__name__, sys.argv[1:], type(LogisticRegression().fit(X, y)).__module__)
"""


@pytest.mark.parametrize("as_module", [False, True])
def test_a_script_runs_as_it_is(tmp_path, as_module):
    (tmp_path / "script.py").write_text(SCRIPT)
    way = ["-m", "script"] if as_module else [str(tmp_path / "script.py")]
    command = [sys.executable, "-m", "logreg_accel.accelerate", "-v", *way, "--rate", "0.1", "-v"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "__main__ ['--rate', '0.1', '-v'] sklearn.linear_model._logistic\n", done.stderr
    assert "LogisticRegression: fitted by logreg_accel, backend numpy" in done.stderr
    last = done.stderr.splitlines()[-1]
    assert re.fullmatch(r"logreg_accel: 1 fit, \d+\.\d s here; the same .* is not measured", last), last


def test_a_script_chooses_a_backend_and_failed_fits_are_told(tmp_path):
    script = SCRIPT + "LogisticRegression(solver='liblinear').fit(X, y)\nLogisticRegression().fit(X, y[:3])\n"
    (tmp_path / "script.py").write_text(script)
    command = [sys.executable, "-m", "logreg_accel.accelerate", "-v", "--backend"]
    done = subprocess.run([*command, "numba", "script.py"], cwd=tmp_path, capture_output=True, text=True)
    assert "fitted by logreg_accel, backend numba" in done.stderr and "ValueError" in done.stderr
    assert re.search(r"^logreg_accel: 1 fit, .* here; .*; 2 fits, .* left to scikit-learn", done.stderr, re.M)


def test_a_linked_script_has_its_own_path_neighbours_and_log(tmp_path):
    """`__file__` is still true after chdir, imports are found beside the linked file, basicConfig counts."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "neighbour.py").write_text("WORD = 'found'\n")
    (tmp_path / "code" / "script.py").write_text(
        "import logging, os\n"
        "logging.basicConfig(level=logging.DEBUG, filename='script.log', format='script %(message)s')\n"
        "logging.debug('began')\n"
        "os.chdir('code')\n"
        "import neighbour\n"
        "print(neighbour.WORD, os.path.samefile(__file__, 'script.py'))\n" + SCRIPT
    )
    (tmp_path / "link.py").symlink_to(tmp_path / "code" / "script.py")
    command = [sys.executable, "-m", "logreg_accel.accelerate", "-v", "link.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.startswith("found True\n__main__ "), done.stderr
    assert done.stderr.startswith("logreg_accel: LogisticRegression: fitted by logreg_accel"), done.stderr
    assert (tmp_path / "script.log").read_text() == "script began\n"


@pytest.mark.slow
def test_scikit_learns_own_tests_pass_under_the_patch(tmp_path):
    """At least 95 % pass; the others test the steps of a solver, or expect looser optima."""
    (tmp_path / "patched.py").write_text("import logreg_accel\nlogreg_accel.patch_sklearn()\n")
    tests = ["--pyargs", "sklearn.linear_model.tests.test_logistic", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "patched", *tests],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=1800,
    )
    counts = {word: int(n) for n, word in re.findall(r"(\d+) (passed|failed)", done.stdout.splitlines()[-1])}
    passed, failed = counts.get("passed", 0), counts.get("failed", 0)
    assert passed > 200 and passed / (passed + failed) >= 0.95, done.stdout[-5000:]


@pytest.mark.parametrize(
    "line, told",
    [
        (["nothing.py"], "there is no file 'nothing.py'"),
        (["-m", "nothing.at_all"], "there is no module 'nothing.at_all'"),
        (["--backend", "nothing", "script.py"], "nothing"),
    ],
)
def test_a_script_or_a_backend_that_is_not_there(tmp_path, monkeypatch, capsys, line, told):
    (tmp_path / "script.py").write_text(SCRIPT)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        accelerate.main(line)
    assert ended.value.code == 2 and told in capsys.readouterr().err


def test_scikit_learns_checks_of_its_own_class():
    code = (
        "import warnings; warnings.simplefilter('ignore')\n"
        "import logreg_accel; logreg_accel.patch_sklearn()\n"
        "from sklearn.linear_model import LogisticRegression\n"
        "from sklearn.utils.estimator_checks import check_estimator\n"
        "results = check_estimator(LogisticRegression(), on_fail=None)\n"
        "print([r['check_name'] for r in results if r['status'] == 'failed'], len(results))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.startswith("[] "), done.stdout + done.stderr


@pytest.mark.parametrize("solver", ["lbfgs", "newton-cg", "newton-cholesky"])
def test_separable_classes_without_a_penalty_give_no_warning_as_with_scikit_learn(caplog, solver):
    """It was one that scikit-learn does not give, and which ends scripts that make errors of warnings."""
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((300, 3))
    y = (Z @ [1, 2, 3] + rng.logistic(size=300) > 0).astype(int)
    Z[:, 0] = (y == 1) & (rng.random(300) < 0.3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        patched = LogisticRegression(C=np.inf, solver=solver).fit(Z, y)
        unpatch_sklearn()
        plain = LogisticRegression(C=np.inf, solver=solver).fit(Z, y)
    assert any("the weights of column 0 grow" in record.message for record in caplog.records)
    assert (patched.predict(Z) == plain.predict(Z)).all()
