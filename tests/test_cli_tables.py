"""From a raw table to scores on the command line: the same as by hand, and a sentence for what cannot be."""

import csv
import json
import re
import shlex

import numpy as np
import pytest
from command_line import run
from sklearn.metrics import average_precision_score, brier_score_loss, f1_score, log_loss, roc_auc_score

pa = pytest.importorskip("pyarrow")

from logreg_accel import LogisticRegression, TableEncoder, load  # noqa: E402
from logreg_accel.cli.plan import _shares  # noqa: E402
from logreg_accel.data.reader import TableReader  # noqa: E402


def draw(seed=0, rows=400, classes=("no", "yes")):
    """A header and rows of text: an id, numbers with gaps, levels, a flag and labels."""
    rng = np.random.default_rng(seed)
    age, town = rng.normal(40, 10, rows).round(1), rng.integers(0, 3, rows)
    z = (age - 40) / 10 + town - 1 + rng.logistic(size=rows)
    label = np.array(classes)[np.digitize(z, np.linspace(-1, 1, len(classes) + 1)[1:-1])]
    gaps = np.where(rng.random(rows) < 0.1, "?", age.astype(str))
    columns = [
        [f"00{i}" for i in range(rows)],
        gaps,
        np.array(["Oslo", "Rom", "Köln"])[town],
        np.where(rng.random(rows) < 0.5, "true", "false"),
        rng.integers(1, 4, rows).astype(str),
        label,
    ]
    return ["id", "age", "town", "flag", "weight", "label"], [list(row) for row in zip(*columns, strict=True)]


def write(path, names, rows, separator=","):
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=separator)
        writer.writerows([names, *rows] if names else rows)
    return path


@pytest.fixture
def table(tmp_path):
    return write(tmp_path / "x.csv", *draw())


def train(path, *more, capsys, target="label"):
    model = path.parent / "m.npz"
    code, out, err = run("train", path, "--target", target, "--model", model, "--json", *more, capsys=capsys)
    assert code == 0, err
    return model, json.loads(out), err


def scores(path, model, *more, capsys):
    code, out, err = run("predict", path, "--model", model, *more, capsys=capsys)
    assert code == 0, err
    return list(csv.DictReader(out.splitlines())), err


def by_hand(path, drop=("label",)):
    read = TableReader(path).read()
    encoder = TableEncoder().fit(read.drop_columns(list(drop)))
    X = encoder.transform(read.drop_columns(list(drop)))
    return encoder, X, np.array(read["label"].to_pylist())


def test_a_model_scores_and_quality_in_three_commands(table, tmp_path, capsys):
    model, summary, err = train(table, capsys=capsys)
    encoder, X, y = by_hand(table)
    expected = LogisticRegression().fit(X, y)
    fitted = load(model)
    assert fitted.encoder_.columns_ == encoder.columns_
    np.testing.assert_array_equal(fitted.coef_, expected.coef_)
    assert fitted.feature_names_in_[-3:].tolist() == ["town=Rom", "flag", "weight"]
    assert "400 rows" in err and "town (3)" in err and "missing (1)     age" in err

    rows, _ = scores(table, model, "--keep", "id,age", capsys=capsys)
    proba = expected.predict_proba(X)[:, 1]
    assert np.abs([float(row["probability_yes"]) for row in rows] - proba).max() <= 1e-12
    given = draw()[1]
    assert [row["id"] for row in rows] == [row[0] for row in given]
    assert [row["age"] for row in rows] == [row[1].replace("?", "") for row in given]

    code, out, _ = run("evaluate", table, "--model", model, "--target", "label", "--json", capsys=capsys)
    facts = json.loads(out)
    assert code == 0 and facts["rows"] == 400
    positive = y == "yes"
    expected = {
        "accuracy": ((proba > 0.5) == positive).mean(),
        "base_rate": max(positive.mean(), 1 - positive.mean()),
        "loss": log_loss(positive, proba),
        "auc": roc_auc_score(positive, proba),
        "pr_auc": average_precision_score(positive, proba),
        "brier": brier_score_loss(positive, proba),
        "f1": f1_score(positive, proba > 0.5),
    }
    assert {name: facts[name] for name in expected} == pytest.approx(expected, rel=1e-9)
    assert expected["auc"] == pytest.approx(summary["train"]["auc"])
    bins = facts["calibration"]
    assert sum(b["rows"] for b in bins) == 400 and all(b["from"] <= b["said"] <= b["to"] for b in bins)


@pytest.mark.parametrize("layout", ["tsv", "no header", "semicolons", "gz", "several", "parquet", "latin-1"])
def test_a_table_gives_the_same_model_in_any_format(table, tmp_path, capsys, layout):
    import gzip

    from pyarrow.parquet import write_table

    first, _, _ = train(table, capsys=capsys)
    coef, expected = load(first).coef_, scores(table, first, capsys=capsys)[0]
    names, rows = draw()
    path, more, target = tmp_path / "other", [], "label"
    if layout == "gz":
        path.write_bytes(gzip.compress(table.read_bytes()))
    elif layout == "parquet":
        write_table(TableReader(table).read(), path)
    elif layout == "several":
        path.mkdir()
        for part in range(4):
            write(path / f"{part}.csv", names, rows[100 * part : 100 * part + 100])
    elif layout == "latin-1":
        path.write_text(table.read_text(encoding="utf-8"), encoding="latin-1")
        more = ["--encoding", "latin-1"]
    elif layout == "no header":
        write(path, None, rows)
        target, more = "-1", ["--no-header"]
    else:
        write(path, names, rows, "\t" if layout == "tsv" else ";")
    model, _, _ = train(path, *more, capsys=capsys, target=target)
    np.testing.assert_array_equal(load(model).coef_, coef)
    found, _ = scores(path, model, *more, capsys=capsys)
    assert found == expected


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".feather", ".npy"])
def test_scores_in_the_format_of_the_suffix(table, tmp_path, capsys, suffix):
    model, _, _ = train(table, capsys=capsys)
    output = tmp_path / f"scores{suffix}"
    keep = [] if suffix == ".npy" else ["--keep", "all"]
    assert run("predict", table, "--model", model, "--output", output, *keep) == 0
    expected = [float(row["probability_yes"]) for row in scores(table, model, capsys=capsys)[0]]
    if suffix == ".npy":
        assert np.load(output).tolist() == expected
        return
    read = TableReader(output).read()
    assert read.column_names == [*draw()[0], "prediction", "probability_yes"]
    assert read["probability_yes"].to_pylist() == expected
    assert suffix == ".csv" or read["id"].to_pylist() == [row[0] for row in draw()[1]]


def test_a_threshold_is_kept_with_the_model(table, capsys):
    model, _, _ = train(table, "--threshold", 0.25, capsys=capsys)
    rows, _ = scores(table, model, capsys=capsys)
    assert all((row["prediction"] == "yes") == (float(row["probability_yes"]) >= 0.25) for row in rows)
    rows, _ = scores(table, model, "--threshold", 0.9, capsys=capsys)
    assert all((row["prediction"] == "yes") == (float(row["probability_yes"]) >= 0.9) for row in rows)
    _, X, y = by_hand(table)
    proba, positive = load(model).predict_proba(X)[:, 1], y == "yes"
    model, summary, _ = train(table, "--threshold", "f1", capsys=capsys)
    best = max(f1_score(positive, proba >= cut) for cut in proba)
    assert summary["train"]["f1"] == pytest.approx(best) and load(model).threshold_ == summary["threshold"]
    model, summary, err = train(table, "--threshold", "youden", "--test-size", 0.3, capsys=capsys)
    assert "280 rows to learn from, 120 held out" in err
    assert 0 < load(model).threshold_ < 1


def test_rows_held_out_in_a_file_of_their_own(table, tmp_path, capsys):
    names, rows = draw(1)
    rows[0][2] = "Paris"
    valid = write(tmp_path / "valid.csv", names, rows)
    model, summary, err = train(table, "--valid", valid, capsys=capsys)
    assert "column 'town': 1 values that training did not have" in err
    _, out, _ = run("evaluate", valid, "--model", model, "--target", "label", "--json", capsys=capsys)
    facts = json.loads(out)
    assert {name: facts[name] for name in summary["test"]} == pytest.approx(summary["test"])


def test_weights_of_rows_and_classes(table, capsys):
    assert "class weights" not in train(table, "--weight", "weight", capsys=capsys)[2]
    model, _, err = train(table, "--weight", "weight", "--class-weight", "yes=3,no=1", capsys=capsys)
    told = run("evaluate", table, "--model", model, capsys=capsys)[2]
    assert "class weights shift probabilities" in err and "prior='data'" in told
    encoder, X, y = by_hand(table, ("label", "weight"))
    weight = np.array(TableReader(table).read()["weight"])
    expected = LogisticRegression(class_weight={"no": 1, "yes": 3}).fit(X, y, sample_weight=weight)
    np.testing.assert_array_equal(load(model).coef_, expected.coef_)


def test_three_classes_and_groups(tmp_path, capsys):
    path = write(tmp_path / "x.csv", *draw(classes=("1", "2", "3")))
    model, summary, err = train(path, "--scale", capsys=capsys)
    assert "1 " in err and load(model).classes_.tolist() == [1, 2, 3]
    command = ["evaluate", path, "--model", model, "--target", "label", "--by", "town"]
    code, out, _ = run(*command, "--json", capsys=capsys)
    facts = json.loads(out)
    assert code == 0 and set(facts["by"]) == {"Köln", "Oslo", "Rom"}
    assert sum(group["rows"] for group in facts["by"].values()) == 400
    assert facts["accuracy"] > facts["base_rate"] and facts["loss"] < facts["base_loss"]
    code, out, _ = run(*command, capsys=capsys)
    assert code == 0 and "base rate" in out and "Calibration" in out and "By town" in out
    assert max(map(len, out.splitlines())) <= 80 + len(str(tmp_path)) * 2


@pytest.mark.parametrize("n, end", [(7, "g 1 (14.3%)"), (8, "f 1 (12.5%) and 2 more classes")])
def test_no_single_class_is_left_unnamed(n, end):
    assert _shares(list("abcdefgh")[:n], np.ones(n, dtype=int)).endswith(end)


def test_what_is_new_is_counted(table, tmp_path, capsys):
    model, _, _ = train(table, capsys=capsys)
    new = write(tmp_path / "new.csv", ["town", "age", "more"], [["Rom", "?", "1"], ["Paris", "33", "2"]])
    rows, err = scores(new, model, capsys=capsys)
    assert len(rows) == 2 and "'town': 1 values" in err
    assert "not there, taken as missing: 'flag', 'weight'" in err and "not used: 'more'" in err
    write(new, ["town", "age"], [["Rom", "old"]])
    code, out, err = run("predict", new, "--model", model, capsys=capsys)
    assert code == 3 and "has 'old' in column 'age' in line 2; expected a number" in err and out == ""


def test_formulas_and_terminal_escapes_are_disarmed(tmp_path, capsys):
    names, rows = draw(classes=("=1+1", "\x1b[31mred"))
    names[1], rows = "=cmd()", [[row[0], row[1], "\x1b[2J" + row[2], *row[3:]] for row in rows]
    path = write(tmp_path / "x.csv", names, rows)
    model = tmp_path / "m"
    code, out, err = run("train", path, "--target", "label", "--model", model, capsys=capsys)
    assert code == 0 and "\x1b" not in out + err and "\\x1b[31mred" in err
    output = tmp_path / "out.csv"
    assert run("predict", path, "--model", model, "--keep", "=cmd(),town", "--output", output) == 0
    assert b"\x1b" not in output.read_bytes()
    with open(output, newline="", encoding="utf-8") as file:
        heading, *scored = csv.reader(file)
    assert heading[:3] == ["'=cmd()", "town", "prediction"]
    assert {row[2] for row in scored} == {"'=1+1", "\\x1b[31mred"}
    code, out, err = run(
        "evaluate", path, "--model", model, "--target", "label", "--by", "town", capsys=capsys
    )
    assert code == 0 and "\x1b" not in out + err


def _changed(column, change, rows=400):
    names, given = draw(rows=rows)
    place = names.index(column)
    return names, [[*row[:place], change(i, row[place]), *row[place + 1 :]] for i, row in enumerate(given)]


BAD = {
    "one class": (_changed("label", lambda i, v: "yes"), "only one class, 'yes'"),
    "no value": (_changed("age", lambda i, v: ""), "'age' has no value at all.*--drop"),
    "two of a name": (
        (["a", "a", "label"], [["1", "2", "x"], ["2", "1", "y"]]),
        "two columns of one name: 'a'",
    ),
    "many levels": (
        _changed("town", lambda i, v: f"t{i % 60_000}", 100_000),
        "60,000 levels, more than 50,000",
    ),
    "no rows": ((["a", "label"], []), "a header and no rows"),
    "target missing": (
        _changed("label", lambda i, v: v if i % 50 else ""),
        "no label in 8 of 400 rows.*line 2 of",
    ),
    "mixed types": (_changed("age", lambda i, v: v if i % 9 else "old"), "'age' has mixed types.*--na 'old'"),
    "nothing": (([], []), "is empty"),
    "a quantity": (_changed("label", lambda i, v: f"{i / 7:.3f}"), "different values.*quantity"),
    "infinite": (
        _changed("age", lambda i, v: v if i else "inf"),
        "'age' has 1 infinite values, the first in line 2 of",
    ),
    "no features": ((["id", "label"], [[f"n{i}", "ab"[i % 2]] for i in range(60)]), "No column is left"),
    "ragged": ((["a", "label"], [["1", "x"], ["2", "y", "z"]]), "line 3 has 3 fields; expected 2"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_tables_are_told_and_nothing_is_written(tmp_path, capsys, case):
    import re

    (names, rows), words = BAD[case]
    path, model = write(tmp_path / "x.csv", names, rows), tmp_path / "m"
    code, out, err = run("train", path, "--target", "label", "--model", model, capsys=capsys)
    assert code == 3 and re.search(words, err) and not model.exists() and out == "", err
    assert "error in the program" not in err


def test_all_columns_with_gaps_are_told_where_nothing_is_encoded(tmp_path, capsys):
    rows = [[i % 5, "" if i == 3 else 1.5, i % 2, "" if i in (4, 9) else 2.5] for i in range(40)]
    path = write(tmp_path / "x.csv", ["a", "b", "y", "c"], rows)
    given = ["train", path, "--target", "y", "--model", tmp_path / "m.npz", "--encode", "none"]
    code, _, err = run(*given, capsys=capsys)
    assert code == 3 and "with NaN or inf: 'b' (1 rows), 'c' (2 rows). --encode auto encodes" in err
    code, _, err = run(*given, "--memory", "100MB", capsys=capsys)
    assert code == 3 and "a missing value in column 'b', row 3; nearby, so have columns 'c'" in err
    assert not (tmp_path / "m.npz").exists()


def test_a_column_without_a_name_is_told(tmp_path, capsys):
    """R writes row names without a heading, and Arrow keeps them as a column named ""."""
    from pyarrow.parquet import write_table

    rng = np.random.default_rng(0)
    columns = {"": np.arange(60), "x": rng.standard_normal(60), "y": np.arange(60) % 2}
    write_table(pa.table(columns), tmp_path / "x.parquet")
    model = tmp_path / "m.npz"
    code, _, err = run("train", tmp_path / "x.parquet", "--target", "y", "--model", model, capsys=capsys)
    assert code == 0 and "left out        (no name): it numbers the rows" in err
    assert "(no name)  left out" in run("inspect", model, capsys=capsys)[1]


def test_what_looks_odd_is_warned_of(tmp_path, capsys):
    names, rows = draw()
    rows = [[*row, str(997 * i % 400), row[5], "x"] for i, row in enumerate(rows)]
    rows = [[*row[:5], "yes" if i % 80 == 0 else "no", *row[6:]] for i, row in enumerate(rows)]
    path = write(tmp_path / "x.csv", [*names, "number", "copy", "same"], rows)
    _, _, err = train(path, "--drop", "copy", capsys=capsys)
    assert "class yes has 5 of 400 rows" in err and "number: whole numbers that differ in every row" in err
    assert "same: it has one value only" in " ".join(err.split())
    _, _, err = train(path, "--drop", "label", capsys=capsys, target="copy")
    assert "alone tells" not in err
    rows = [[*row, f"{i % 5},{i % 7}00", "3+"[i % 2]] for i, row in enumerate(draw()[1])]
    _, _, err = train(write(path, [*names, "price", "children"], rows), capsys=capsys)
    assert "price: numbers with signs, such as '0,000'" in " ".join(err.split())
    rows = [[*row, f"1,{i:03d}"] for i, row in enumerate(draw()[1])]
    _, _, err = train(write(path, [*names, "price"], rows), capsys=capsys)
    assert "price: numbers with signs, such as '1,000', are left out" in " ".join(err.split())
    rows = [[*row, f"1.{i:03d},5"] for i, row in enumerate(draw()[1])]
    _, _, err = train(write(path, [*names, "price"], rows), capsys=capsys)
    assert "price: numbers with signs, such as '1.000,5', are left out" in " ".join(err.split())
    rows = [[*row, "none" if i % 2 else f"{i % 20}.5"] for i, row in enumerate(draw()[1])]
    _, _, err = train(write(path, [*names, "years"], rows), capsys=capsys)
    assert "years: most values are numbers, but 'none' is not" in " ".join(err.split()) and "signs" not in err
    rows = [[*row[:5], row[5].upper() if i % 3 else row[5], *row[6:]] for i, row in enumerate(draw()[1])]
    _, _, err = train(write(path, names, rows), capsys=capsys)
    assert "differ only by case or blanks, such as 'NO' and 'no'" in " ".join(err.split())
    rows = [[*row[:6], row[5]] for row in draw()[1]]
    _, _, err = train(write(path, [*names, "copy"], rows), capsys=capsys)
    assert "copy alone determines the label of every row" in " ".join(err.split())


def test_columns_whose_names_have_commas_and_quotes_can_be_left_out(tmp_path, capsys):
    """The advice is a command that can be run as it is printed."""
    rows = [[i % 7, i % 13, i % 2, i % 2] for i in range(300)]
    with open(tmp_path / "t.csv", "w", newline="") as file:
        csv.writer(file).writerows([['a "b"', "c", "amount, EUR", "y"], *rows])
    given = ["train", tmp_path / "t.csv", "--target", "y", "--model", tmp_path / "m.npz"]
    for memory in ([], ["--memory", "200MB"]):
        run(*given, *memory)
        err = " ".join(capsys.readouterr().err.split())
        (advised,) = re.findall("amount, EUR alone determines.*only known afterwards, (--drop '[^']*')", err)
        run(*given, *memory, *shlex.split(advised))
        model = load(tmp_path / "m.npz")
        assert not any("amount" in name for name in model.encoder_.get_feature_names_out())
        assert run(*given, *memory, "--drop", '"amount, EUR","a ""b""",c') == 3
        assert "no column left" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words, expected",
    [
        (["trian"], "did you mean train?"),
        (["train", "x", "--target", "--when", "--model", "m"], "is given as --target=VALUE"),
        (["train", "x", "--model", "m", "--penalty", "l1"], "--l1-ratio"),
        (["train", "x", "--model", "m", "--n_jobs", "2"], "--threads"),
        (["train", "x", "--model", "m", "--tharget", "2"], "did you mean --target?"),
        (["train", "x", "--model", "m", "--solver", "saga"], "auto chooses what suits"),
        (["train", "TABLE", "--model", "m"], "--target is missing.*perhaps --target label"),
    ],
)
def test_misspelt_columns_get_a_suggestion(table, tmp_path, monkeypatch, capsys, words, expected):
    import re

    monkeypatch.chdir(tmp_path)
    code, _, err = run(*[str(table) if word == "TABLE" else word for word in words], capsys=capsys)
    assert code == 2 and re.search(expected, err)


@pytest.mark.parametrize("more, told", [([], True), (["--C", "inf"], False), (["--firth"], False)])
def test_scales_are_mentioned_where_a_penalty_depends_on_them(tmp_path, capsys, more, told):
    rng, data = np.random.default_rng(0), tmp_path / "data.csv"
    rows = [
        f"{a},{b},{t}"
        for a, b, t in zip(rng.random(60), 1e7 * rng.random(60), 10 * "yn" + 40 * "y", strict=True)
    ]
    data.write_text("\n".join(["share,price,t", *rows]))
    code, _, err = run("train", data, "--target", "t", "--model", tmp_path / "m", *more, capsys=capsys)
    assert code == 0 and ("very different scales" in err) == told, err
