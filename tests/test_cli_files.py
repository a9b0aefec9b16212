"""Files that the command line is told to write: none that it reads, and in the format of their names."""

import json
import os
import subprocess
import sys

import pytest
from command_line import run, write


@pytest.fixture
def trained(tmp_path, capsys):
    """A table, a model of it, and their bytes by name."""
    data, model = write(tmp_path / "data.csv"), tmp_path / "model.npz"
    assert run("train", data, "--target", "t", "--drop", "w", "--model", model, "--quiet") == 0
    capsys.readouterr()
    return data, model, {path: path.read_bytes() for path in (data, model)}


def itself(path):
    return path


def by_another_way(path):
    return path.parent / "." / path.name


def symbolic(path):
    link = path.parent / "link.csv"
    link.symlink_to(path.name)
    return link


def hard(path):
    link = path.parent / "hard.csv"
    os.link(path, link)
    return link


@pytest.mark.parametrize("name", [itself, by_another_way, symbolic, hard])
@pytest.mark.parametrize("kind", ["train", "predict, data", "predict, model"])
def test_an_output_that_is_an_input_is_refused(trained, capsys, kind, name):
    data, model, before = trained
    if kind == "train":
        arguments = ["train", data, "--target", "t", "--model", name(data)]
    else:
        arguments = ["predict", data, "--model", model, "--output", name(data if "data" in kind else model)]
    code, out, err = run(*arguments, capsys=capsys)
    assert code == 2 and "is the same file as" in err and out == ""
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("resume", [[], ["--resume"]], ids=["new", "resumed"])
def test_outputs_and_checkpoints_are_different_files(trained, tmp_path, capsys, resume):
    """A page would replace the model, and who deletes a checkpoint that exists would delete the data."""
    data, _, before = trained
    train = ["train", data, "--target", "t", "--model", tmp_path / "new.html"]
    for option, value in (("report", "new.html"), ("checkpoint", "new.html"), ("checkpoint", "data.csv")):
        more = [*resume, "--checkpoint", tmp_path / "c"] if option == "report" else resume
        code, out, err = run(*train, *more, f"--{option}", tmp_path / value, capsys=capsys)
        assert code == 2 and f"{value} is the same file as" in err and out == "", err
    code, out, err = run(*train, "--checkpoint", tmp_path / "no" / "c", *resume, capsys=capsys)
    assert code == 5 and "is not a folder to write to" in err and out == ""
    assert {path: path.read_bytes() for path in before} == before and not (tmp_path / "new.html").exists()


def test_an_output_that_is_appended_to_an_input_is_refused(trained):
    data, model, before = trained
    with open(data, "a") as file:
        done = subprocess.run(
            [sys.executable, "-m", "logreg_accel", "predict", data, "--model", model],
            stdout=file,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 2 and "output file is also an input" in done.stderr
    assert data.read_bytes() == before[data]


def test_an_output_may_replace_what_is_not_read(trained, capsys):
    """No suffix is added to its name."""
    data, model, _ = trained
    output = data.parent / "scores"
    for _ in range(2):
        assert run("predict", data, "--model", model, "--output", output, "--quiet") == 0
        assert run("train", data, "--target", "t", "--drop", "w", "--model", model, "--quiet") == 0
    assert output.read_text().startswith("prediction,")
    assert sorted(os.listdir(data.parent)) == ["data.csv", "model.npz", "scores"]


def test_a_dash_is_no_name_of_a_file(trained, capsys, monkeypatch):
    data, model, _ = trained
    monkeypatch.chdir(data.parent)
    for arguments in (
        ["train", data, "--target", "t", "--model", "-"],
        ["predict", data, "--model", model, "--output", "-"],
    ):
        code, _, err = run(*arguments, capsys=capsys)
        assert code == 2 and "/dev/stdout" in err
    assert not os.path.exists("-")


def test_predictions_go_to_a_pipe_by_name(trained, capsys):
    data, model, _ = trained
    command = ["predict", str(data), "--model", str(model), "--quiet"]
    named = subprocess.run(
        [sys.executable, "-m", "logreg_accel", *command, "--output", "/dev/stdout"],
        capture_output=True,
        check=True,
    )
    code, out, _ = run(*command, capsys=capsys)
    assert code == 0 and named.stdout == out.encode() and out.startswith("prediction,")


@pytest.mark.parametrize("where", ["a link to nowhere", "a name too long", "a folder", "no folder"])
def test_what_cannot_be_written_is_found_before_anything_is_read(tmp_path, capsys, where):
    model = tmp_path / "model"
    if where == "a link to nowhere":
        model.symlink_to(tmp_path / "none" / "model")
    elif where == "a folder":
        model.mkdir()
    else:
        model = tmp_path / ("n" * 256) if "long" in where else tmp_path / "none" / "model"
    (tmp_path / "broken.npy").write_bytes(b"nothing")
    code, _, err = run("train", tmp_path / "broken.npy", "--target", "0", "--model", model, capsys=capsys)
    assert code == 5 and model.name in err


@pytest.mark.parametrize("verb, name", [("bench", "roofline.png"), ("demo", "page.pdf")])
def test_what_is_drawn_has_the_format_of_its_name(tmp_path, capsys, verb, name):
    pytest.importorskip("matplotlib")
    code, _, err = run(verb, "--output", tmp_path / name, capsys=capsys)
    assert code == 2 and "expected a name that ends with" in err and os.listdir(tmp_path) == []


def test_json_names_the_file_of_predictions(trained, tmp_path, capsys):
    data, model, _ = trained
    where = tmp_path / "out.csv"
    code, out, err = run("predict", data, "--model", model, "--output", where, "--json", capsys=capsys)
    assert code == 0 and json.loads(out) == {"output": str(where), "rows": 200}
    assert where.read_text().count("\n") == 201


def test_a_pipe_by_a_dash_gets_a_hint(trained, capsys):
    code, out, err = run("predict", "-", "--model", trained[1], capsys=capsys)
    assert code == 5 and out == "" and "a pipe is read only once: write its output to a file first" in err


@pytest.mark.parametrize(
    "encoding, shown", [("ascii", "Z\\xfcrich"), ("latin-1", "Zürich"), ("utf-8", "Zürich")]
)
def test_names_that_the_encoding_of_stdout_lacks_are_escaped(tmp_path, encoding, shown):
    """A model is trained and saved when they are printed, and an error would call that a failure."""
    data = tmp_path / "data.csv"
    data.write_text("Zürich,東京,t\n" + "1,2,a\n3,5,b\n2,2,b\n4,1,a\n" * 6, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "logreg_accel", "train", data, "--target", "t", "--model", tmp_path / "m"],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": encoding},
    )
    assert done.returncode == 0, done.stderr
    told = done.stdout.decode(encoding)
    assert shown in told and ("東京" if encoding == "utf-8" else "\\u6771\\u4eac") in told
