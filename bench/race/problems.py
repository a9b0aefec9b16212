"""What is raced: generated families and real data, each as float32 X (m, n), in C order or sparse, and y
(m,), uint8 codes.

Real sets come from a folder that the user names and are in none of our files; breast cancer ships with
scikit-learn. Columns in different units are standardised where the name says so or where the raw ones mean
little; a penalty is for scaled columns.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

_BLOCK = 1 << 16  # rows generated at a time: float64 on the way is for these only
_KEEP = 500  # rows at least, however small a race is wanted


class Case(NamedTuple):
    """make(rows, rng) for generated data, make(folder, None) for real ones; `rows` and `features` are 0 for
    those.

    `needs` is what a contestant must be able to do: "dense" or "sparse", "classes" for more than two, "l1"
    for an `l1_ratio`.
    """

    make: Callable
    rows: int = 0
    features: int = 0
    file: str = ""
    about: str = ""
    needs: tuple = ("dense",)
    l1_ratio: float = 0.0
    C: float = 1.0


def load(case, scale=1.0, folder=None):
    """X and y of a case.

    Parameters
    ----------
    case : str
        A name in CASES.
    scale : float
        Share of the rows that is wanted; real data are thinned evenly, since some are sorted.
    folder : path or None
        Where real data lie.
    """
    chosen = CASES[case]
    if chosen.rows:
        X, y = chosen.make(max(_KEEP, round(chosen.rows * scale)), np.random.default_rng(0))
    else:
        X, y = chosen.make(Path(folder) if folder else None, None)
        if scale < 1:
            keep = np.linspace(0, len(y) - 1, max(min(_KEEP, len(y)), round(len(y) * scale))).astype(np.intp)
            X, y = X[keep], y[keep]
    y = np.ascontiguousarray(y, dtype=np.uint8)
    if not hasattr(X, "tocsr"):
        return np.ascontiguousarray(X, dtype=np.float32), y
    X = X.tocsr().astype(np.float32)
    X.sort_indices()  # every contestant gets what it would else do itself
    X.indices, X.indptr = X.indices.astype(np.int32), X.indptr.astype(np.int32)  # liblinear takes no others
    return X, y


def absent(case, folder):
    """Why a case cannot be raced, or None."""
    file = CASES[case].file
    if file and not folder:
        return "real data: give --data DIR"
    if file and not (Path(folder) / file).exists():
        return f"{file} is not in the data folder"
    return None


# -- generated
# ------------------------------------------------------------------------------------------------------------


def _filled(m, n, block):
    """X (m, n) float32, block(rows) by block."""
    X = np.empty((m, n), dtype=np.float32)
    for start in range(0, m, _BLOCK):
        stop = min(m, start + _BLOCK)
        X[start:stop] = block(stop - start)
    return X


def _drawn(margins, rng):
    """y of 0 and 1 with the odds of the margins."""
    margins = margins.astype(np.float64)
    return rng.random(len(margins)) < np.exp(-np.logaddexp(0, -margins))


def _shifted(margins, rate):
    """Margins moved so that a share of `rate` of the rows is expected to be positive."""
    low, high = -100.0, 100.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        too_many = np.exp(-np.logaddexp(0, -(margins + middle).astype(np.float64))).mean() > rate
        low, high = (low, middle) if too_many else (middle, high)
    return margins + middle


def _neighbours(m, n, rng):
    """Standard normal columns, each mixed with the one before: condition of some 10."""

    def block(rows):
        X = rng.standard_normal((rows, n), dtype=np.float32)
        X[:, 1:] += 0.5 * X[:, :-1]
        return X

    return _filled(m, n, block)


def well(n, rate=0.4):
    """Weights of size 1/√n, a share of positives of `rate`."""

    def make(m, rng):
        X = _neighbours(m, n, rng)
        return X, _drawn(_shifted(X @ (rng.standard_normal(n) / np.sqrt(n)).astype(np.float32), rate), rng)

    return make


def ill(n, condition=1e4):
    """A covariance of that condition in rotated axes; every axis counts alike in the margins."""

    def make(m, rng):
        U = np.linalg.qr(rng.standard_normal((n, n)))[0]
        scales = np.logspace(0, -np.log10(condition) / 2, n)
        mix = (scales[:, None] * U.T).astype(np.float32)
        X = _filled(m, n, lambda rows: rng.standard_normal((rows, n), dtype=np.float32) @ mix)
        return X, _drawn(X @ (U @ (rng.standard_normal(n) / scales) / np.sqrt(n)).astype(np.float32), rng)

    return make


def rare(n, rate):
    """Few positives, whom the features tell well: margins spread by some 4."""

    def make(m, rng):
        X = _filled(m, n, lambda rows: rng.standard_normal((rows, n), dtype=np.float32))
        return X, _drawn(_shifted(X @ (0.5 * rng.standard_normal(n)).astype(np.float32), rate), rng)

    return make


def one_hot(m, rng):
    """Three columns of 293 levels, the most of them rare (Zipf), one-hot, and 21 normal ones: 900, dense."""
    levels, numeric = 293, 21
    X = np.zeros((m, 3 * levels + numeric), dtype=np.float32)
    for column in range(3):
        X[np.arange(m), column * levels + rng.zipf(1.6, m) % levels] = 1
    X[:, 3 * levels :] = rng.standard_normal((m, numeric), dtype=np.float32)
    return X, _drawn(X @ rng.standard_normal(X.shape[1]).astype(np.float32) - 1, rng)


def heavy(n):
    """Student's t with 2.1 degrees of freedom, columns scaled over six decades."""

    def make(m, rng):
        scales = np.logspace(-3, 3, n)
        X = _filled(m, n, lambda rows: rng.standard_t(2.1, (rows, n)) * scales)
        return X, _drawn(X @ (0.3 * rng.standard_normal(n) / scales).astype(np.float32), rng)

    return make


def nearly_separable(n):
    """Heavy tails, half of the columns mostly zero, and margins of hundreds: all but a few rows are on their side."""

    def make(m, rng):
        scales = np.logspace(-1, 1, n)

        def block(rows):
            X = rng.standard_t(2.5, (rows, n)) * scales
            X[:, n // 2 :] *= rng.random((rows, n - n // 2)) < 0.05
            return X

        X = _filled(m, n, block)
        margins = X @ (30 * rng.standard_normal(n)).astype(np.float32)
        return X, _drawn(margins + 3 * rng.standard_normal(m, dtype=np.float32), rng)

    return make


# -- real
# -----------------------------------------------------------------------------------------------------------------


def _standardised(X):
    X = np.asarray(X, dtype=np.float64)
    spread = X.std(axis=0)
    return (X - X.mean(axis=0)) / np.where(spread > 0, spread, 1)


def _scaled(make):
    def scaled(folder, rng):
        X, y = make(folder, rng)
        return _standardised(X), y

    return scaled


def _breast_cancer(folder, rng):
    from sklearn.datasets import load_breast_cancer

    return load_breast_cancer(return_X_y=True)


def _numbers(file, label):
    """A text file of numbers; y is 1 where the column `label` is."""

    def make(folder, rng):
        values = np.loadtxt(folder / file)
        return np.delete(values, label, axis=1), values[:, label] == 1

    return make


def _svmlight(file, dense=True):
    def make(folder, rng):
        from sklearn.datasets import load_svmlight_file

        X, y = load_svmlight_file(str(folder / file))
        return X.toarray() if dense else X, y > 0

    return make


def _reviews(folder, rng):
    """Sentences of film reviews, TF-IDF of their words; 1 where the critic liked it."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = [
        [
            line
            for line in (folder / f"rt_polarity/rt-polarity.{side}")
            .read_bytes()
            .decode("latin-1")
            .split("\n")
            if line
        ]
        for side in ("neg", "pos")
    ]
    X = TfidfVectorizer().fit_transform(texts[0] + texts[1])
    return X, np.repeat([0, 1], [len(side) for side in texts])


def _digits(folder, rng):
    """Ten classes, pixels from 0 to 1; the training part."""
    with np.load(folder / "mnist/mnist_63k.npz") as stored:
        return stored["X"][:60_000].astype(np.float32) / 255, stored["y"][:60_000]


def _few_of_many(m, rng):
    """Normal columns of which a fifth bear on the class."""
    X = _filled(m, 200, lambda rows: rng.standard_normal((rows, 200)))
    w = np.where(rng.random(200) < 0.2, rng.standard_normal(200), 0)
    return X, _drawn(X @ w.astype(np.float32), rng)


def _letter(folder, rng):
    """A to M against N to Z; the class is the last column."""
    lines = (folder / "letter/letter.arff").read_text().splitlines()
    rows = [line.split(",") for line in lines if line.count(",") == 16 and not line.startswith(("@", "%"))]
    return np.array([row[:16] for row in rows], dtype=np.float64), np.array([row[16] > "M" for row in rows])


def _electricity(folder, rng):
    lines = (folder / "electricity/electricity_openml.csv").read_text().split("\n")[1:]
    rows = [line.split(",") for line in lines if line]
    return np.array([row[1:-1] for row in rows], dtype=np.float64), np.array(
        [row[-1].strip() == "UP" for row in rows]
    )


def _magic(folder, rng):
    rows = [line.split(",") for line in (folder / "magic04/magic04.data").read_text().split()]
    return np.array([row[:-1] for row in rows], dtype=np.float64), np.array([row[-1] == "g" for row in rows])


def _mnist(folder, rng):
    """Even digits against odd ones, pixels from 0 to 1."""
    with np.load(folder / "mnist/mnist_63k.npz") as stored:
        return stored["X"].astype(np.float32) / 255, stored["y"] % 2 == 1


def _arcene(folder, rng):
    parts = [
        (
            np.loadtxt(folder / f"arcene/arcene_{part}.data"),
            np.loadtxt(folder / f"arcene/arcene_{part}.labels"),
        )
        for part in ("train", "valid")
    ]
    return np.vstack([X for X, _ in parts]) / 1000, np.concatenate([y for _, y in parts]) > 0


_spambase = _numbers("spambase/spam.data", -1)

CASES = {
    "well-1M-100": Case(well(100), 1_000_000, 100, about="well conditioned"),
    "ill-1M-100": Case(ill(100), 1_000_000, 100, about="condition 1e4"),
    "ill-300k-400": Case(ill(400), 300_000, 400, about="condition 1e4"),
    "rare-1M-60": Case(rare(60, 0.009), 1_000_000, 60, about="0.9 % positives"),
    "rarer-1M-60": Case(rare(60, 0.001), 1_000_000, 60, about="0.1 % positives"),
    "onehot-200k-900": Case(one_hot, 200_000, 900, about="one-hot columns with rare levels"),
    "heavy-200k-60": Case(heavy(60), 200_000, 60, about="heavy tails, six decades of scale"),
    "separable-200k-60": Case(nearly_separable(60), 200_000, 60, about="nearly separable"),
    "tall-3M-30": Case(well(30), 3_000_000, 30, about="well conditioned"),
    "breast-cancer": Case(_breast_cancer, about="raw columns"),
    "breast-cancer-scaled": Case(_scaled(_breast_cancer), about="standardised"),
    "spambase": Case(_spambase, file="spambase/spam.data", about="raw columns"),
    "spambase-scaled": Case(_scaled(_spambase), file="spambase/spam.data", about="standardised"),
    "higgs-sample": Case(
        _scaled(_numbers("higgs_lightgbm_sample/binary.train", 0)),
        file="higgs_lightgbm_sample/binary.train",
        about="standardised",
    ),
    "phishing": Case(_svmlight("phishing/phishing"), file="phishing/phishing", about="one-hot, dense"),
    "magic04": Case(_scaled(_magic), file="magic04/magic04.data", about="standardised"),
    "letter": Case(_scaled(_letter), file="letter/letter.arff", about="A-M against N-Z, standardised"),
    "a9a": Case(_svmlight("a9a/a9a"), file="a9a/a9a", about="one-hot, dense"),
    "electricity": Case(
        _scaled(_electricity), file="electricity/electricity_openml.csv", about="standardised"
    ),
    "skin": Case(
        _scaled(_numbers("skin_nonskin/Skin_NonSkin.txt", -1)),
        file="skin_nonskin/Skin_NonSkin.txt",
        about="standardised",
    ),
    "mnist-even": Case(_mnist, file="mnist/mnist_63k.npz", about="even against odd digits"),
    "arcene": Case(_arcene, file="arcene/arcene_train.data", about="more features than rows"),
    "a9a-sparse": Case(
        _svmlight("a9a/a9a", dense=False), file="a9a/a9a", about="one-hot, sparse", needs=("sparse",)
    ),
    "phishing-sparse": Case(
        _svmlight("phishing/phishing", dense=False),
        file="phishing/phishing",
        about="one-hot, sparse",
        needs=("sparse",),
    ),
    "reviews": Case(
        _reviews, file="rt_polarity/rt-polarity.pos", about="TF-IDF of words, sparse", needs=("sparse",)
    ),
    "mnist": Case(_digits, file="mnist/mnist_63k.npz", about="ten classes", needs=("dense", "classes")),
    "a9a-l1": Case(
        _svmlight("a9a/a9a"), file="a9a/a9a", about="one-hot, dense, L1", needs=("dense", "l1"), l1_ratio=1.0
    ),
    "a9a-l1-sparse": Case(
        _svmlight("a9a/a9a", dense=False),
        file="a9a/a9a",
        about="one-hot, sparse, L1",
        needs=("sparse", "l1"),
        l1_ratio=1.0,
    ),
    "sparse-truth-200k-200": Case(
        _few_of_many,
        200_000,
        200,
        about="a fifth of the columns matter, L1",
        needs=("dense", "l1"),
        l1_ratio=1.0,
        C=0.01,
    ),
}
