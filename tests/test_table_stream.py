"""Tables larger than memory: encoded batch by batch, the same as in memory."""

import json

import numpy as np
import pytest
from command_line import run
from test_cli_tables import draw, write

pa = pytest.importorskip("pyarrow")

from logreg_accel import LogisticRegression, TableEncoder, load, scan  # noqa: E402
from logreg_accel.data import chunks, gathering, reader  # noqa: E402
from logreg_accel.data.gathering import Tables  # noqa: E402
from logreg_accel.table import stream  # noqa: E402
from logreg_accel.table.facts import Moments, Values  # noqa: E402

SMALL = "100MB"


@pytest.fixture
def folder(tmp_path):
    """Three CSV files; what the first ones hold of a column tells not what the last one does."""
    names, rows = draw(rows=1500)
    late = [["", i % 7, 3, "x", *row] for i, row in enumerate(rows)]
    for i, row in enumerate(late[1300:]):
        row[:4] = [f"2024-01-{i % 28 + 1:02}", "many" if i == 100 else i % 5, 2.5 + i % 3, " x"]
    for part in range(3):
        write(
            tmp_path / f"part-{part}.csv",
            ["seen", "grade", "size", "same", *names],
            late[500 * part : 500 * part + 500],
        )
    return tmp_path


def in_memory(folder, **settings):
    table = Tables([str(folder / "part-*.csv")]).read({})
    features = table.drop_columns(["label", "weight"])
    encoder = TableEncoder(**settings).fit(features)
    return encoder, encoder.transform(features), np.array(table["label"].to_pylist()), table


def source(folder, encoder=None, **given):
    given = {"target": "label", "drop": ["weight"], "memory": SMALL, **given}
    return scan(folder / "part-*.csv", encoder=encoder or TableEncoder(), **given)


@pytest.mark.parametrize("settings", [{}, {"scale": True}, {"sparse_output": True, "min_count": 40}])
def test_tables_of_a_source_are_encoded_as_in_memory(folder, settings):
    encoder, X, y, _ = in_memory(folder, **settings)
    rows = source(folder, TableEncoder(**settings))
    model = LogisticRegression().fit(rows)
    found = {column.name: column for column in model.encoder_.columns_}
    for column in encoder.columns_:
        if settings.get("scale") and hasattr(column, "scale"):
            assert found[column.name].scale == pytest.approx(column.scale, rel=1e-13)
        else:
            assert found[column.name] == column
    expected = LogisticRegression().fit(X, y)
    np.testing.assert_allclose(model.coef_, expected.coef_, rtol=1e-7, atol=1e-9)
    assert model.feature_names_in_.tolist() == encoder.get_feature_names_out().tolist()
    (proba,) = (np.concatenate(list(model.predict_proba(source(folder, model.encoder_)))),)
    np.testing.assert_allclose(proba, expected.predict_proba(X), atol=1e-9)
    assert model.score(source(folder, model.encoder_)) == expected.score(X, y)


def small_batches(monkeypatch):
    """Batches of 37 rows of eight columns, or fewer rows."""
    monkeypatch.setattr(stream, "BATCH", 8 * 8 * 37)
    monkeypatch.setattr(chunks, "CHUNK", 2 * 8 * 8 * 37)


def test_small_batches_are_as_large_ones(folder, monkeypatch):
    expected = LogisticRegression().fit(source(folder))
    small_batches(monkeypatch)
    got = LogisticRegression().fit(source(folder))
    assert got.encoder_.columns_ == expected.encoder_.columns_
    np.testing.assert_allclose(got.coef_, expected.coef_, rtol=1e-9)


def test_a_cache_knows_the_encoder(folder, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    first = LogisticRegression().fit(source(folder, cache=cache))
    read = []
    plain = gathering.Tables.batches
    monkeypatch.setattr(gathering.Tables, "batches", lambda *a, **k: read.append(a) or plain(*a, **k))
    again = LogisticRegression().fit(source(folder, cache=cache))
    assert not read and again.encoder_.columns_ == first.encoder_.columns_
    np.testing.assert_array_equal(again.coef_, first.coef_)
    LogisticRegression().fit(source(folder, TableEncoder(min_count=9), cache=cache))
    assert read and len(list(cache.iterdir())) == 2


def test_types_are_found_as_in_the_whole(tmp_path):
    """Values of another kind come after the first block, by which Arrow infers types."""
    columns = {"a": ("1", "2.5"), "b": ("", "x"), "c": ("7", "x"), "d": ("", "3"), "e": ("true", "maybe")}
    filler = "words that fill the first block of the file " * 9
    with open(tmp_path / "x.csv", "w") as file:
        file.write(",".join([*columns, "filler"]) + "\n")
        for i in range(2):
            for _ in range(50_000 if i == 0 else 5):
                file.write(",".join([*(values[i] for values in columns.values()), filler]) + "\n")
    tables, types = Tables([tmp_path / "x.csv"]), {}
    while True:
        try:
            kinds = [batch.schema for _, batch in tables.batches(types)]
            break
        except reader.Unfit as unfit:
            types = tables.wider(unfit)
    assert all(kind == tables.read({}).schema for kind in kinds) and len(kinds) > 1
    assert tables.place(50_004) == f"line 50006 of {str(tmp_path / 'x.csv')!r}"


FAULTS = {
    "no label": ("label", "", "column 'label' has no label in 1 of 1,500 rows, the first in line 12 of"),
    "infinite": ("size", "inf", "column 'size' has 1 infinite values, the first in line 12 of"),
    "a word among numbers": ("age", "old", "mixed types"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_told_and_nothing_is_written(folder, capsys, fault):
    column, value, message = FAULTS[fault]
    path = folder / "part-1.csv"
    lines = path.read_text().splitlines()
    fields = lines[11].split(",")
    fields[lines[0].split(",").index(column)] = value
    path.write_text("\n".join([*lines[:11], ",".join(fields), *lines[12:]]) + "\n")
    code, _, err = train(folder, capsys=capsys)
    assert code == 3 and message in err and not (folder / "m.npz").exists()


def train(folder, *more, capsys):
    out = folder / "m.npz"
    line = ["train", folder / "part-*.csv", "--target", "label", "--drop", "weight", "--model", out]
    return run(*line, "--memory", SMALL, *more, capsys=capsys)


def test_train_and_predict_take_tables_in_batches(folder, capsys):
    code, out, err = train(folder, "--json", capsys=capsys)
    assert code == 0, err
    encoder, X, y, _ = in_memory(folder)
    fitted, expected = load(folder / "m.npz"), LogisticRegression().fit(X, y)
    np.testing.assert_allclose(fitted.coef_, expected.coef_, rtol=1e-7, atol=1e-9)
    assert fitted.encoder_.columns_ == encoder.columns_ and json.loads(out)["status"] == "converged"
    assert "1,500 rows" in err and "town (3)" in err and "left out" in err


@pytest.mark.parametrize("suffix", ["csv", "parquet", "feather", "npy"])
def test_scores_are_written_as_they_come(folder, capsys, monkeypatch, suffix):
    assert train(folder, capsys=capsys)[0] == 0
    files, model = folder / "part-*.csv", folder / "m.npz"
    more = [] if suffix == "npy" else ["--keep", "id,age,flag"]
    written = []
    for small in (False, True):
        if small:
            small_batches(monkeypatch)
        out = folder / f"scores-{len(written)}.{suffix}"
        code, _, err = run("predict", files, "--model", model, "--output", out, *more, capsys=capsys)
        assert code == 0 and "1,500 predictions" in err
        written.append(np.load(out) if suffix == "npy" else reader.TableReader(out).read())
    if suffix == "npy":
        np.testing.assert_allclose(*written, rtol=1e-14)
    else:
        probability = [table["probability_yes"].to_numpy() for table in written]
        np.testing.assert_allclose(*probability, rtol=1e-14)
        rest = [table.drop_columns(["probability_yes"]) for table in written]
        assert rest[0].equals(rest[1]) and rest[0].column_names == ["id", "age", "flag", "prediction"]
        ages = [row[1].replace("?", "") for row in draw(rows=1500)[1]]
        assert [str(age or "") for age in written[1]["age"].to_pylist()] == ages


def test_what_is_wrong_in_the_last_batch_leaves_no_file(folder, capsys, monkeypatch):
    assert train(folder, capsys=capsys)[0] == 0
    small_batches(monkeypatch)
    path = folder / "part-2.csv"
    path.write_text(path.read_text() + "x,1,old,x,0,3,Rom,true,2,yes\n")
    code, _, err = run(
        "predict", folder / "part-*.csv", "--model", folder / "m.npz", "--output", folder / "p.csv",
        capsys=capsys,
    )  # fmt: skip
    assert code == 3 and "has 'old' in column 'size' in line 502" in err
    assert not [name for name in folder.iterdir() if name.suffix == ".tmp" or name.name == "p.csv"]


def test_quality_and_rows_held_out_in_batches(folder, capsys, monkeypatch):
    line = ["--valid", folder / "part-1.csv", "--threshold", "f1", "--json"]
    code, out, err = train(folder, *line, capsys=capsys)
    assert code == 0, err
    told = json.loads(out)["test"]
    small_batches(monkeypatch)
    given = ["--model", folder / "m.npz", "--target", "label", "--by", "town", "--json"]
    code, out, err = run("evaluate", folder / "part-1.csv", *given, capsys=capsys)
    facts = json.loads(out)
    assert code == 0 and {name: facts[name] for name in told} == pytest.approx(told, rel=1e-4)  # ties
    assert sum(group["rows"] for group in facts["by"].values()) == facts["rows"] == 500


def test_labels_that_are_numbers_by_name(tmp_path, capsys):
    lines = ["x,y", *(f"{i % 7},{1 if i % 3 else 2.5}" for i in range(60))]
    (tmp_path / "x.csv").write_text("\n".join(lines) + "\n")
    given = [tmp_path / "x.csv", "--target", "y", "--model", tmp_path / "m.npz"]
    for more in ([], ["--memory", SMALL]):
        assert run("train", *given, *more, capsys=capsys)[0] == 0
        assert load(tmp_path / "m.npz").classes_.tolist() == ["1.0", "2.5"]
        code, out, err = run("evaluate", *given, "--json", capsys=capsys)
        assert code == 0 and json.loads(out)["base_rate"] == pytest.approx(2 / 3), err


@pytest.mark.parametrize("values", [np.arange(5000.0), np.repeat(np.arange(50.0), 100), np.ones(9)])
def test_a_median_in_little_room(values):
    rng = np.random.default_rng(0)
    few, whole, mixed = Values(128), Values(), rng.permutation(values)
    for part in np.array_split(mixed, 7):
        few.add(part)
        whole.add(part)
    assert whole.median() == np.median(values)
    assert whole.all_different() == few.all_different() == (len(values) == len(set(values)))
    assert few.exact == (len(np.unique(values)) <= 128)
    if few.exact:
        assert few.median() == np.median(values)
    assert abs((values <= few.median()).mean() - 0.5) < 0.05 or few.exact


@pytest.mark.parametrize("size", [1.0, 1e-300, 1e300])
def test_deviations_are_of_all_pieces(size):
    values, moments = np.random.default_rng(0).normal(3, 1, 1000) * size, Moments()
    for part in np.split(values, [1, 100, 101, 600]):
        moments.add(part)
    assert moments.deviation == pytest.approx(size * np.std(values / size), rel=1e-12)


def test_texts_that_memory_has_no_room_for():
    pieces = lambda of: (pa.table({"x": range(999), "t": of(i)}) for i in range(5))  # noqa: E731
    encoder = TableEncoder().learn(pieces(lambda i: [f"{i} {j}" for j in range(999)]), 600_000)
    assert encoder.columns_[1].why == "it identifies rows: nearly all of the first 2,997 differ"
    with pytest.raises(
        ValueError, match="column 't' has more than 2,500 levels in 4,995 rows, for which `mem"
    ):
        TableEncoder().learn(pieces(lambda i: [f"{i} {j // 2}" for j in range(999)]), 600_000)
