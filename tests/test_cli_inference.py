"""Error bars on the command line."""

import json

import numpy as np
import pytest
from command_line import run

from logreg_accel import LogisticRegression, firth, inference, load


def table(path, classes=2, separated=False):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 2))
    z = X[:, :1] * np.arange(classes) + rng.gumbel(size=(300, classes))
    y = np.array(["no", "yes", "zoo"])[z.argmax(axis=1)]
    X = np.column_stack([X, y == "yes"]) if separated else X
    names = ["age", "income", "told"][: X.shape[1]]
    lines = [
        ",".join([*names, "t"]),
        *(",".join([*map(repr, map(float, row)), label]) for row, label in zip(X, y, strict=True)),
    ]
    path.write_text("\n".join(lines) + "\n")
    return X, y


@pytest.mark.parametrize("kind", ["iid", "HC1"])
@pytest.mark.parametrize("classes", [2, 3])
def test_train_keeps_them_and_inspect_shows_them(tmp_path, capsys, kind, classes):
    data, model = tmp_path / "data.csv", tmp_path / "model.npz"
    X, y = table(data, classes)
    arguments = ("train", data, "--target", "t", "--C", "inf", "--tol", "1e-12", "--model", model)
    code, _, err = run(*arguments, "--inference", kind, "--json", capsys=capsys)
    assert code == 0, err
    code, out, _ = run("inspect", model, "--json", capsys=capsys)
    kept = json.loads(out)["inference"]
    expected = inference(LogisticRegression(C=np.inf, tol=1e-12).fit(X, y), X, y, vcov=kind)
    np.testing.assert_allclose(kept["table"]["std err"], expected.bse.T.ravel(), rtol=1e-7)
    assert kept["table"]["name"] == ["const", "age", "income"] * (classes - 1)
    assert kept["aic"] == pytest.approx(expected.aic, rel=1e-9) and kept["covariance"] == kind
    code, out, _ = run("inspect", model, capsys=capsys)
    assert code == 0 and "Error bars" in out and "P>|z|" in out and "income" in out
    again = load(model)
    assert again.inference_["table"] == kept["table"]
    again.fit(X, y)
    assert not hasattr(again, "inference_")


def test_what_has_no_error_bars(tmp_path, capsys):
    data, model = tmp_path / "data.csv", tmp_path / "model.npz"
    table(data, separated=True)
    code, _, err = run("train", data, "--target", "t", "--inference", "HC1", "--model", model, capsys=capsys)
    assert code == 2 and "add --C inf" in err and not model.exists()
    arguments = ("train", data, "--target", "t", "--inference", "iid", "--C", "inf", "--model", model)
    code, _, err = run(*arguments, "--class-weight", "balanced", capsys=capsys)
    assert code == 2 and "use HC1" in err
    code, _, err = run(*arguments, capsys=capsys)
    assert code == 0 and "no error bars: The classes are separated by" in err and "told" in err
    code, out, _ = run("inspect", model, "--json", capsys=capsys)
    assert code == 0 and "inference" not in json.loads(out)
    code, out, err = run(*arguments, "--quiet", "--json", capsys=capsys)  # asked for, so that it is said
    assert code == 0 and err.startswith("warning: no error bars: ") and err.count("\n") == 1
    assert json.loads(out)["error_bars"] == "none"


def test_warnings_of_separation_name_the_column(tmp_path, capsys):
    data = tmp_path / "data.csv"
    table(data, separated=True)
    arguments = ("train", data, "--target", "t", "--C", "inf", "--model", tmp_path / "model.npz")
    code, _, err = run(*arguments, capsys=capsys)
    assert code == 0 and "as the weights of 'told' grow" in err


@pytest.mark.parametrize("weighted", [False, True])
def test_firth(tmp_path, capsys, weighted):
    """Separated classes have finite estimates and intervals, which are those of `firth`."""
    data, model = tmp_path / "data.csv", tmp_path / "model.npz"
    X, y = table(data, separated=True)
    arguments = ("train", data, "--target", "t", "--firth", "--model", model)
    if weighted:  # as if the income were a number of observations
        X, s = X[:, [0, 2]], np.round(2 + abs(X[:, 1]))
        rows = [f"{a!r},{b!r},{c},{t}" for (a, b), c, t in zip(X.tolist(), s.tolist(), y, strict=True)]
        data.write_text("\n".join(["age,told,n,t", *rows]) + "\n")
        arguments = (*arguments, "--weight", "n")
    expected = firth(X, y, s if weighted else None)
    code, out, err = run(*arguments, "--json", capsys=capsys)
    assert code == 0 and json.loads(out)["error_bars"] == expected.formula, err
    kept = load(model)
    assert kept.status_ == "firth" and np.isfinite(kept.coef_).all()
    np.testing.assert_allclose(kept.coef_, expected.model.coef_, rtol=1e-6)
    shown = kept.inference_["table"]
    assert shown["name"] == ["const", *(["age", "told"] if weighted else ["age", "income", "told"])]
    np.testing.assert_allclose(np.array([shown["[0.025"], shown["0.975]"]]).T, expected.conf_int(), rtol=1e-4)
    code, out, _ = run("inspect", model, capsys=capsys)
    assert code == 0 and "chi2" in out and "Firth" in out
    code, out, err = run("evaluate", data, "--model", model, "--target", "t", capsys=capsys)
    assert code == 0 and "AUC" in out


@pytest.mark.parametrize(
    "more, told",
    [
        (["--C", "2"], "leave out --C"),
        (["--class-weight", "balanced"], "leave out --class-weight"),
        (["--inference", "HC1"], "leave out --inference"),
        (["--memory", "1GB"], "--firth needs all rows in memory"),
    ],
)
def test_firth_stands_alone(tmp_path, capsys, more, told):
    data, model = tmp_path / "data.csv", tmp_path / "model.npz"
    table(data)
    code, _, err = run("train", data, "--target", "t", "--firth", "--model", model, *more, capsys=capsys)
    assert code == 2 and told in err and not model.exists()
    table(data, classes=3)
    code, _, err = run("train", data, "--target", "t", "--firth", "--model", model, capsys=capsys)
    assert code == 3 and "3 classes" in err and not model.exists()


def test_levels_are_compared_with_the_first(tmp_path, capsys):
    """Columns for all levels and an intercept are collinear, so that the first level gets none, as in R."""
    rng = np.random.default_rng(3)
    town, age = rng.choice(["Bern", "Oslo", "Rom"], 400), rng.normal(size=400)
    y = (rng.logistic(size=400) < age + (town == "Rom")).astype(int)
    data, model = tmp_path / "data.csv", tmp_path / "model.npz"
    rows = [f"{t},{a!r},{v}" for t, a, v in zip(town, age.tolist(), y, strict=True)]
    data.write_text("\n".join(["town,age,t", *rows]) + "\n")
    arguments = ("train", data, "--target", "t", "--C", "inf", "--tol", "1e-12", "--model", model)
    code, _, err = run(*arguments, "--inference", "iid", capsys=capsys)
    assert code == 0 and "compared with   town=Bern" in err and "no error bars" not in err
    kept = load(model).inference_
    assert kept["compared with"] == "town=Bern"
    assert kept["table"]["name"] == ["const", "town=Oslo", "town=Rom", "age"]
    X = np.column_stack([town == "Oslo", town == "Rom", age]).astype(float)
    expected = inference(LogisticRegression(C=np.inf, tol=1e-12).fit(X, y), X, y)
    np.testing.assert_allclose(kept["table"]["std err"], expected.bse, rtol=1e-7)
    code, out, _ = run("inspect", model, capsys=capsys)
    assert code == 0 and "3 levels, compared with Bern" in out
    code, out, err = run("evaluate", data, "--model", model, "--target", "t", capsys=capsys)
    assert code == 0 and not err and all(line.strip() for line in out.splitlines())


@pytest.mark.parametrize("kind", [["--C", "inf", "--inference", "iid"], ["--firth"]])
def test_levels_are_compared_with_the_level_of_base(tmp_path, capsys, kind):
    rng = np.random.default_rng(3)
    town, flat = rng.choice(["Bern", "Oslo", "Rom"], 300), rng.choice(["no", "yes"], 300)
    y = (rng.logistic(size=300) < (town == "Rom")).astype(int)
    data, model = tmp_path / "data.csv", tmp_path / "model.npz"
    data.write_text("\n".join(["town,flat,t", *map(",".join, zip(town, flat, y.astype(str), strict=True))]))
    arguments = ["train", data, "--target", "t", "--model", model]
    code, _, err = run(*arguments, *kind, "--base", "town=Rom", capsys=capsys)
    assert code == 0 and "compared with   town=Rom, flat=no" in err, err
    assert load(model).inference_["table"]["name"] == ["const", "town=Bern", "town=Oslo", "flat=yes"]
    for more, exit_code, told in (
        ([*kind, "--base", "town=Paris"], 3, "no level 'Paris' to compare with (--base"),
        ([*kind, "--base", "city=Rom"], 3, "no column 'city'"),
        ([*kind, "--base", "town"], 2, "'town' is not COLUMN=LEVEL,..."),
        (["--base", "town=Rom"], 2, "by --inference or --firth"),
        ([*kind, "--no-intercept", "--base", "town=Rom"], 2, "beside an intercept"),
    ):
        code, _, err = run(*arguments, *more, capsys=capsys)
        assert code == exit_code and told in err, err
