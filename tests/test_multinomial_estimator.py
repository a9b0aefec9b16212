"""More than two classes, through the estimator and the command line: what comes in and what goes out."""

import json
import warnings

import numpy as np
import pytest
from several_classes import problem, scaled
from sklearn.datasets import load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression as Sklearn
from sklearn.metrics import log_loss, roc_auc_score

import logreg_accel
from conftest import BACKENDS, backends_and
from logreg_accel import LogisticRegression, solvers
from logreg_accel.cli import main


def test_shapes_labels_and_probabilities():
    X, y = scaled(load_iris)
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    clf = LogisticRegression().fit(X, names)
    assert (
        clf.coef_.shape == (3, 4)
        and clf.intercept_.shape == (3,)
        and clf.classes_.tolist() == sorted(set(names))
    )
    assert clf.decision_function(X).shape == (150, 3)
    np.testing.assert_allclose(clf.predict_proba(X).sum(axis=1), 1)
    np.testing.assert_allclose(np.exp(clf.predict_log_proba(X)), clf.predict_proba(X))
    assert set(clf.predict(X)) == set(names) and clf.score(X, names) > 0.95
    assert LogisticRegression(fit_intercept=False).fit(X, names).intercept_.tolist() == [0, 0, 0]
    for far in (1e200 * X[:1], 1e308 * X[:1] / abs(X[:1]).max()):
        with np.errstate(all="ignore"):
            assert np.isfinite(clf.predict_proba(far)).all() and clf.predict(far) in names


@pytest.mark.parametrize("name", ["numpy", "numba"])
def test_more_classes_than_a_byte_holds(name):
    X, y, _ = problem(1200, 3, 300)
    clf = LogisticRegression(tol=1e-4, backend=name).fit(X, y)
    assert clf.coef_.shape == (300, 3) and clf.predict(X).max() > 255 and clf.status_ == "converged"


@pytest.mark.parametrize("solver", ["newton-cholesky", "newton-cg", "lbfgs"])
@pytest.mark.parametrize("name", BACKENDS)
def test_weight_two_is_the_row_twice_and_zero_the_row_absent(name, solver):
    X, y, _ = problem(120)
    s = np.random.default_rng(1).integers(0, 3, 120).astype(float)
    s[:4] = 1
    weighted = LogisticRegression(backend=name, solver=solver, tol=1e-15).fit(X, y, s)
    rows = np.repeat(np.arange(120), s.astype(int))
    repeated = LogisticRegression(backend=name, solver=solver, tol=1e-15).fit(X[rows], y[rows])
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, atol=1e-7)


@pytest.mark.parametrize("name, dtype", backends_and(["float16", "uint8"]))
def test_storage_types_are_the_same_values_in_float32(name, dtype):
    X, y, _ = problem(300)
    X = (10 * abs(X)).astype(dtype)
    stored, wide = (
        LogisticRegression(backend=name, tol=1e-7).fit(data, y) for data in (X, X.astype(np.float32))
    )
    # only the penalty sees a shift of all classes together, and rounding of float32 divided by it is more
    np.testing.assert_allclose(
        *(model.coef_ - model.coef_.mean(axis=0) for model in (stored, wide)), atol=1e-5
    )


def test_softmax_has_the_same_bits_at_any_number_of_threads():
    X, y, s = problem(30_000, 20, 3, "float32")
    fits = [
        LogisticRegression(backend="numba", solver="newton-cg", n_threads=n).fit(X, y, s).coef_.tobytes()
        for n in (1, 2)
    ]
    assert fits[0] == fits[1]


def test_class_weights():
    X, y = scaled(load_wine)
    for class_weight in ("balanced", {0: 2.0, 2: 0.5}):
        clf = LogisticRegression(class_weight=class_weight).fit(
            X, y, sample_weight=np.linspace(0.5, 2, len(y))
        )
        reference = Sklearn(class_weight=class_weight, tol=1e-12, max_iter=10_000).fit(
            X, y, np.linspace(0.5, 2, len(y))
        )
        np.testing.assert_allclose(clf.coef_, reference.coef_, atol=3e-6)


def test_a_class_without_weight_is_named():
    X, y, _ = problem()
    with pytest.raises(ValueError, match=r"classes without a sample of positive weight: \[2\]"):
        LogisticRegression().fit(X, y, sample_weight=(y != 2).astype(float))


def test_warm_starts():
    X, y = scaled(load_wine)
    clf = LogisticRegression(solver="newton-cg", warm_start=True).fit(X, y)
    first = clf.n_passes_
    assert clf.fit(X, y).n_passes_ < first / 2
    with pytest.raises(ValueError, match="another number of classes"):
        clf.fit(X, y > 0)


def test_saved_models(tmp_path):
    X, y = scaled(load_wine)
    clf = LogisticRegression(solver=solvers.lbfgs(memory=5)).fit(X, np.array(["ä", "b", "c"])[y])
    clf.save(tmp_path / "model")
    again = logreg_accel.load(tmp_path / "model")
    np.testing.assert_array_equal(again.predict_proba(X), clf.predict_proba(X))
    assert again.predict(X).tolist() == clf.predict(X).tolist()


@pytest.fixture
def iris_file(tmp_path):
    X, y = load_iris(return_X_y=True)
    rows = [
        ",".join([*map(str, row), ["setosa", "versicolor", "virginica"][code]])
        for row, code in zip(X, y, strict=True)
    ]
    path = tmp_path / "iris.csv"
    path.write_text("\n".join(["a,b,c,d,kind", *rows]) + "\n")
    return path


def test_the_command_line(iris_file, tmp_path, capsys):
    model = str(tmp_path / "model")
    assert main(["train", str(iris_file), "--target", "kind", "--model", model, "--json"]) == 0
    trained = json.loads(capsys.readouterr().out)["train"]
    X, y = load_iris(return_X_y=True)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="X does not have valid feature names")
        probabilities = logreg_accel.load(model).predict_proba(X)
    assert trained["loss"] == pytest.approx(log_loss(y, probabilities), rel=1e-6)
    assert trained["auc"] == pytest.approx(roc_auc_score(y, probabilities, multi_class="ovr"))
    assert main(["evaluate", str(iris_file), "--model", model, "--target", "kind", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["accuracy"] == trained["accuracy"] > 0.95
    assert main(["inspect", model, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["coefficients"]["a"]) == 3
    assert main(["inspect", model]) == 0
    assert "virginica" in capsys.readouterr().out
    features = tmp_path / "features.csv"
    features.write_text(
        "\n".join(line.rpartition(",")[0] for line in iris_file.read_text().splitlines()) + "\n"
    )
    assert main(["predict", str(features), "--model", model]) == 0
    heading, first, *_ = capsys.readouterr().out.splitlines()
    assert (
        heading == "prediction,probability_setosa,probability_versicolor,probability_virginica"
        and first.startswith("setosa,0.")
    )


def test_published_answers(real_data):
    """R's multinom of the UCLA programme choices, and mlogit's fishing modes on the raw income."""
    pd = pytest.importorskip("pandas")
    published = json.loads((real_data / "published.json").read_text())
    choices = pd.read_csv(real_data / "small/hsbdemo.csv")
    for level in ("middle", "high"):
        choices[f"ses{level}"] = (choices["ses"] == level).astype(float)
    fishing = pd.read_csv(real_data / "small/Ecdat_Fishing.csv")
    for name, frame, target, base, columns, shape in [
        ("UCLA_hsbdemo_multinom", choices, "prog", "academic", ["sesmiddle", "seshigh", "write"], (2, 4)),
        ("Fishing_mode_on_income", fishing, "mode", "beach", ["income"], (3, 2)),
    ]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            clf = LogisticRegression(C=np.inf).fit(frame[columns], frame[target])
        both = np.hstack([clf.intercept_[:, None], clf.coef_])
        at = list(clf.classes_).index(base)
        others = [term.partition(":")[0] for term in published[name]["terms"]][:: shape[1]]
        found = np.array([both[list(clf.classes_).index(label)] - both[at] for label in others])
        np.testing.assert_allclose(found, np.reshape(published[name]["recomputed"]["coef"], shape), rtol=1e-5)
        np.testing.assert_allclose(found, np.reshape(published[name]["coef"], shape), rtol=1e-3)
