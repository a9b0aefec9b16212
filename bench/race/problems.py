"""What is raced: generated families and real data.

Each is a float32 X (m, n), in C order or sparse, and y (m,), uint8 codes.

Real sets come from a folder that the user names and are in none of our files; breast cancer ships with
scikit-learn. Columns in different units are standardised where the name says so or where the raw ones mean
little; a penalty is for scaled columns.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_matrix

from . import generated, real

_KEEP = 500  # rows at least, however small a race is wanted


class Case(NamedTuple):
    """make(rows, rng) for generated data, make(folder, None) for real ones.

    `rows` and `features` are 0 for real data.
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
    X = csr_matrix(X.tocsr().astype(np.float32))  # Snap ML takes no csr_array
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


CASES = {
    "well-1M-100": Case(generated.well(100), 1_000_000, 100, about="well conditioned"),
    "ill-1M-100": Case(generated.ill(100), 1_000_000, 100, about="condition 1e4"),
    "ill-300k-400": Case(generated.ill(400), 300_000, 400, about="condition 1e4"),
    "rare-1M-60": Case(generated.rare(60, 0.009), 1_000_000, 60, about="0.9 % positives"),
    "rarer-1M-60": Case(generated.rare(60, 0.001), 1_000_000, 60, about="0.1 % positives"),
    "onehot-200k-900": Case(generated.one_hot, 200_000, 900, about="one-hot columns with rare levels"),
    "heavy-200k-60": Case(generated.heavy(60), 200_000, 60, about="heavy tails, six decades of scale"),
    "separable-200k-60": Case(generated.nearly_separable(60), 200_000, 60, about="nearly separable"),
    "tall-3M-30": Case(generated.well(30), 3_000_000, 30, about="well conditioned"),
    "breast-cancer": Case(real.breast_cancer, about="raw columns"),
    "breast-cancer-scaled": Case(real.scaled(real.breast_cancer), about="standardised"),
    "spambase": Case(real.spambase, file="spambase/spam.data", about="raw columns"),
    "spambase-scaled": Case(real.scaled(real.spambase), file="spambase/spam.data", about="standardised"),
    "higgs-sample": Case(
        real.scaled(real.numbers("higgs_lightgbm_sample/binary.train", 0)),
        file="higgs_lightgbm_sample/binary.train",
        about="standardised",
    ),
    "phishing": Case(real.svmlight("phishing/phishing"), file="phishing/phishing", about="one-hot, dense"),
    "magic04": Case(real.scaled(real.magic), file="magic04/magic04.data", about="standardised"),
    "letter": Case(
        real.scaled(real.letter), file="letter/letter.arff", about="A-M against N-Z, standardised"
    ),
    "a9a": Case(real.svmlight("a9a/a9a"), file="a9a/a9a", about="one-hot, dense"),
    "electricity": Case(
        real.scaled(real.electricity), file="electricity/electricity_openml.csv", about="standardised"
    ),
    "skin": Case(
        real.scaled(real.numbers("skin_nonskin/Skin_NonSkin.txt", -1)),
        file="skin_nonskin/Skin_NonSkin.txt",
        about="standardised",
    ),
    "mnist-even": Case(real.mnist, file="mnist/mnist_63k.npz", about="even against odd digits"),
    "arcene": Case(real.arcene, file="arcene/arcene_train.data", about="more features than rows"),
    "a9a-sparse": Case(
        real.svmlight("a9a/a9a", dense=False), file="a9a/a9a", about="one-hot, sparse", needs=("sparse",)
    ),
    "phishing-sparse": Case(
        real.svmlight("phishing/phishing", dense=False),
        file="phishing/phishing",
        about="one-hot, sparse",
        needs=("sparse",),
    ),
    "reviews": Case(
        real.reviews, file="rt_polarity/rt-polarity.pos", about="TF-IDF of words, sparse", needs=("sparse",)
    ),
    "reuters": Case(
        real.reuters, file="reuters21578.tsv.gz", about="TF-IDF of words, sparse", needs=("sparse",)
    ),
    "text-25k-36k": Case(
        generated.text(36_000, 200), 25_000, 36_000, about="as TF-IDF is, sparse", needs=("sparse",)
    ),
    "categories-33k-16k": Case(
        generated.categories(7518, 4243, 2358, 449, 343, 343, 177, 128, 67),
        32_769,
        15_626,
        about="one-hot, sparse",
        needs=("sparse",),
    ),
    "text-10k-10k": Case(
        generated.text(10_000, 100), 10_000, 10_000, about="as TF-IDF is, sparse", needs=("sparse",)
    ),
    "text-200k-100k": Case(
        generated.text(100_000, 60), 200_000, 100_000, about="as TF-IDF is, sparse", needs=("sparse",)
    ),
    "text-1M-1M": Case(
        generated.text(1_000_000, 20), 1_000_000, 1_000_000, about="as TF-IDF is, sparse", needs=("sparse",)
    ),
    "levels-200k-100k": Case(
        generated.categories(100_000, 1_000, 100, 10),
        200_000,
        101_110,
        about="one-hot with 1e5 levels, sparse",
        needs=("sparse",),
    ),
    "reuters-10": Case(
        real.ten_topics,
        file="reuters21578.tsv.gz",
        about="ten topics, TF-IDF, sparse",
        needs=("sparse", "classes"),
    ),
    "text-11k-39k-20": Case(
        generated.text(38_869, 150, 20),
        11_314,
        38_869,
        about="20 classes, as TF-IDF is, sparse",
        needs=("sparse", "classes"),
    ),
    "text-50k-50k-5": Case(
        generated.text(50_000, 60, 5),
        50_000,
        50_000,
        about="5 classes, as TF-IDF is, sparse",
        needs=("sparse", "classes"),
    ),
    **{
        f"wide-{name}{suffix}": Case(generated.wide(n), m, n, about=f"more features than rows, C={C:g}", C=C)
        for name, m, n in (("2k-20k", 2_000, 20_000), ("500-50k", 500, 50_000), ("5k-10k", 5_000, 10_000))
        for suffix, C in (("", 1.0), ("-C0.01", 0.01), ("-C100", 100.0))
    },
    "wide-2k-20k-l1": Case(
        generated.wide(20_000),
        2_000,
        20_000,
        about="more features than rows, L1",
        needs=("dense", "l1"),
        l1_ratio=1.0,
    ),
    "iris-two": Case(real.two_irises, about="100 x 4, raw columns"),
    "iris": Case(real.iris, about="three classes, raw columns", needs=("dense", "classes")),
    "wine": Case(real.scaled(real.wine), about="three classes, standardised", needs=("dense", "classes")),
    "mnist": Case(real.digits, file="mnist/mnist_63k.npz", about="ten classes", needs=("dense", "classes")),
    "a9a-l1": Case(
        real.svmlight("a9a/a9a"),
        file="a9a/a9a",
        about="one-hot, dense, L1",
        needs=("dense", "l1"),
        l1_ratio=1.0,
    ),
    "a9a-l1-sparse": Case(
        real.svmlight("a9a/a9a", dense=False),
        file="a9a/a9a",
        about="one-hot, sparse, L1",
        needs=("sparse", "l1"),
        l1_ratio=1.0,
    ),
    "text-20k-47k-l1": Case(
        generated.text(47_000, 75),
        20_000,
        47_000,
        about="as TF-IDF is, sparse, L1 with 7,000 weights",
        needs=("sparse", "l1"),
        l1_ratio=1.0,
        C=4.0,
    ),
    "sparse-truth-200k-200": Case(
        generated.few_of_many,
        200_000,
        200,
        about="a fifth of the columns matter, L1",
        needs=("dense", "l1"),
        l1_ratio=1.0,
        C=0.01,
    ),
}
