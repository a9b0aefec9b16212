"""Real tables as they come, each from a raw file to scores: python bench/real_tables.py FOLDER TARGETS

TARGETS is a JSON file of {"name of a file without suffix": "target"}; the folder has these files as .csv. For
each: the AUC on a quarter of the rows, held out, beside a pipeline of scikit-learn's (medians and signs of
missing values, standard deviations of one, OneHotEncoder, the same penalty); whether `predict` on the file
that was learned from gives the probabilities of the fit; and `train` end to end beside pyarrow's reading and
the fit of the encoded matrix.
"""

import argparse
import contextlib
import io
import json
import os
import tempfile
import warnings
from pathlib import Path

import numpy as np
from tables import fastest

from logreg_accel import LogisticRegression, TableEncoder, load
from logreg_accel.cli import main as command_line
from logreg_accel.cli.doctor import machine
from logreg_accel.data.reader import TableReader
from logreg_accel.table import LeftOut

SHARE = 0.25


def run(*arguments):
    """What a verb of the command line prints."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = command_line([str(argument) for argument in arguments])
    if code:
        raise SystemExit(f"{' '.join(map(str, arguments))} ended with {code}: {err.getvalue()}")
    return out.getvalue()


def halves(path, target, folder):
    """Files of the rows to learn from and of those held out, as they are written."""
    import pandas as pd
    from sklearn.model_selection import train_test_split

    frame = pd.read_csv(path, keep_default_na=False, dtype=str)
    kept, out = train_test_split(
        np.arange(len(frame)), test_size=SHARE, random_state=0, stratify=frame[target]
    )
    paths = folder / "learn.csv", folder / "test.csv"
    for rows, part in zip((kept, out), paths, strict=True):
        frame.iloc[np.sort(rows)].to_csv(part, index=False)
    return paths


def theirs(learn, test, target, left_out, scale):
    """The AUC of scikit-learn's pipeline on the columns that are used here."""
    import pandas as pd
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression as Theirs
    from sklearn.metrics import roc_auc_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    frames = [pd.read_csv(path).drop(columns=left_out) for path in (learn, test)]
    labels = [frame.pop(target).astype(str) for frame in frames]
    numbers = frames[0].select_dtypes("number").columns.tolist()
    texts = [name for name in frames[0] if name not in numbers]
    frames = [frame.astype(dict.fromkeys(texts, str)) for frame in frames]
    scaled = StandardScaler() if scale else "passthrough"
    pipeline = make_pipeline(
        make_column_transformer(
            (make_pipeline(SimpleImputer(strategy="median", add_indicator=True), scaled), numbers),
            (OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=5), texts),
        ),
        Theirs(max_iter=5000),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        probability = pipeline.fit(frames[0], labels[0]).predict_proba(frames[1])
    own = labels[1].to_numpy()[:, None] == pipeline.classes_
    classes = range(len(pipeline.classes_) == 2, len(pipeline.classes_))
    return float(np.mean([roc_auc_score(own[:, k], probability[:, k]) for k in classes]))


def quality(path, target, folder, scale):
    """The areas under the curve, ours and theirs, and how far `predict` is from the fit."""
    learn, test = halves(path, target, folder)
    model, scores = folder / "model.npz", folder / "scores.npy"
    run("train", learn, "--target", target, "--model", model, "--quiet", *["--scale"] * scale)
    ours = json.loads(run("evaluate", test, "--target", target, "--model", model, "--json"))["auc"]
    run("predict", learn, "--model", model, "--output", scores, "--quiet")

    features = TableReader(learn).read().drop_columns([target])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="X does not have valid feature names")
        fitted = load(model).predict_proba(TableEncoder(scale=scale).fit_transform(features))
    written = np.load(scores)
    apart = abs((fitted[:, 1] if written.ndim == 1 else fitted) - written).max()
    left_out = [column.name for column in load(model).encoder_.columns_ if isinstance(column, LeftOut)]
    return {"auc": ours, "theirs": theirs(learn, test, target, left_out, scale), "round trip": float(apart)}


def speed(path, target, folder, repeats, scale):
    """Seconds of pyarrow's reading, of the fit of the encoded matrix, and of `train` as a whole."""
    import pyarrow.csv

    table = TableReader(path).read()
    X = TableEncoder(scale=scale).fit_transform(table.drop_columns([target]))
    y = np.array([str(label) for label in table[target].to_pylist()])
    model = folder / "model.npz"
    train = ("train", path, "--target", target, "--model", model, "--quiet", *["--scale"] * scale)
    jobs = {
        "pyarrow": lambda: pyarrow.csv.read_csv(path),
        "fit": lambda: LogisticRegression().fit(X, y),
        "train": lambda: run(*train),
    }
    return fastest(jobs, repeats)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("targets", type=Path)
    parser.add_argument("--scale", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--output", type=Path, help="JSON")
    arguments = parser.parse_args()
    found = {}
    print(f"{'table':24} {'AUC':>8} {'theirs':>8} {'round trip':>10} {'train / (pyarrow + fit)':>24}")
    for name, target in json.loads(arguments.targets.read_text()).items():
        path = arguments.folder / f"{name}.csv"
        with tempfile.TemporaryDirectory() as folder:
            one = quality(path, target, Path(folder), arguments.scale)
            seconds = speed(path, target, Path(folder), arguments.repeats, arguments.scale)
            one["seconds"] = seconds
        one["ratio"] = seconds["train"] / (seconds["pyarrow"] + seconds["fit"])
        found[name] = one
        areas, apart = f"{one['auc']:8.4f} {one['theirs']:8.4f}", f"{one['round trip']:10.1e}"
        print(f"{name:24} {areas} {apart} {one['ratio']:24.2f}", flush=True)
    if arguments.output:
        facts = {"machine": machine(), "load": os.getloadavg()[0], "tables": found}
        arguments.output.write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
