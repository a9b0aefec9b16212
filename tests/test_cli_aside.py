"""A model remembers the columns that were not features, for later files on the command line."""

import json

import numpy as np
import pytest
from command_line import run

pa = pytest.importorskip("pyarrow")

from logreg_accel import load  # noqa: E402


@pytest.fixture
def tables(tmp_path):
    """Paths of a table with a header and of the same without one: x, town, weight, note, label."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=120)
    label = np.where(x + rng.logistic(size=120) > 0, "ja", "nein")
    lines = [f"{x[i]:.3f},{'ab'[i % 2]},{1 + i % 3},{i % 7}n,{label[i]}" for i in range(120)]
    named, bare = tmp_path / "named.csv", tmp_path / "bare.csv"
    named.write_text("\n".join(["x,town,weight,note,label", *lines, ""]))
    bare.write_text("\n".join([*lines, ""]))
    return named, bare


@pytest.mark.parametrize("more", [[], ["--memory", "1GB"], ["--valid", "FILE"], ["--no-header"]])
def test_later_files_need_no_target_and_their_labels_are_no_surprise(tables, capsys, more):
    bare = "--no-header" in more
    file, layout = tables[bare], ["--no-header"] if bare else []
    target, weight, note = ("-1", "2", "3") if bare else ("label", "weight", "note")
    model = file.parent / "m.npz"
    more = [file if word == "FILE" else word for word in more]
    given = ["--target", target, "--weight", weight, "--drop", note, "--model", model, "--json"]
    code, _, err = run("train", file, *given, *more, capsys=capsys)
    assert code == 0 and "does not know" not in err, err
    code, out, err = run("evaluate", file, "--model", model, "--json", *layout, capsys=capsys)
    assert code == 0 and "does not know" not in err
    named = run("evaluate", file, "--model", model, "--target", target, "--json", *layout, capsys=capsys)
    assert json.loads(out) == json.loads(named[1]) and json.loads(out)["rows"] == 120
    code, out, err = run("predict", file, "--model", model, *layout, capsys=capsys)
    assert code == 0 and "does not know" not in err and len(out.splitlines()) == 121


def test_the_target_of_numbers_is_known_too(tmp_path, capsys):
    X = np.random.default_rng(3).normal(size=(60, 3))
    np.save(tmp_path / "x.npy", np.column_stack([X, X[:, 0] > 0.3 * X[:, 1]]))
    model = tmp_path / "m.npz"
    assert run("train", tmp_path / "x.npy", "--target", "-1", "--model", model, "--quiet") == 0
    code, out, _ = run("evaluate", tmp_path / "x.npy", "--model", model, "--json", capsys=capsys)
    assert code == 0 and json.loads(out)["rows"] == 60


def test_a_model_fitted_anew_forgets_what_was_kept_with_it(tables, tmp_path, capsys):
    path = tmp_path / "m.npz"
    given = ["--target", "label", "--threshold", "0.3", "--model", path, "--quiet"]
    assert run("train", tables[0], *given) == 0
    model = load(path)
    assert model.aside_ == ["label"] and model.threshold_ == 0.3
    model.fit(np.random.default_rng(0).normal(size=(30, 2)), np.arange(30) % 2)
    assert not {"aside_", "threshold_", "encoder_"} & set(vars(model))
    model.save(path)
    assert "threshold_" not in vars(load(path))


def test_files_and_shares_that_cannot_be_learned_from(tables, tmp_path, capsys):
    lines = tmp_path / "x.jsonl"
    lines.write_text('{"a": 1, "y": 0}\n{"a": 2, "y": 1}\n')
    train = ["--model", tmp_path / "m.npz", "--target"]
    code, _, err = run("train", lines, *train, "y", capsys=capsys)
    assert code == 3 and "holds JSON; expected a table as text, Parquet or Feather" in err
    for share, rows in (("0.001", 1), ("0.999", 120)):
        code, _, err = run("train", tables[0], *train, "label", "--test-size", share, capsys=capsys)
        assert code == 3 and f"--test-size {share} holds out {rows} of 120 rows; expected at least one" in err


def test_a_year_as_a_name_does_not_hide_what_was_meant(tmp_path, capsys):
    file = tmp_path / "x.csv"
    file.write_text("size,town,2024\n1.5,a,0\n2.5,b,1\n")
    code, _, err = run("train", file, "--target", "2023", "--model", tmp_path / "m.npz", capsys=capsys)
    assert (
        code == 3
        and "Did you mean '2024'? Its first line may be a row: with --no-header, columns are numbered" in err
    )


@pytest.mark.parametrize("more", [[], ["--memory", "1GB"]])
def test_a_negative_weight_is_told_by_column_and_line(tmp_path, capsys, more):
    file = tmp_path / "x.csv"
    file.write_text("size,heavy,y\n1.5,1,0\n2.5,-2,1\n")
    given = ["--target", "y", "--weight", "heavy", "--model", tmp_path / "m.npz", *more]
    code, _, err = run("train", file, *given, capsys=capsys)
    assert code == 3 and "column 'heavy' has the negative weight -2 in line 3 of" in err
