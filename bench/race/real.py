"""Real data: every maker maps the folder that the user names, and None, to X and y."""

from collections import Counter

import numpy as np


def _standardised(X):
    X = np.asarray(X, dtype=np.float64)
    spread = X.std(axis=0)
    return (X - X.mean(axis=0)) / np.where(spread > 0, spread, 1)


def scaled(make):
    def scaled(folder, rng):
        X, y = make(folder, rng)
        return _standardised(X), y

    return scaled


def breast_cancer(folder, rng):
    from sklearn.datasets import load_breast_cancer

    return load_breast_cancer(return_X_y=True)


def numbers(file, label):
    """A text file of numbers; y is 1 where the column `label` is."""

    def make(folder, rng):
        values = np.loadtxt(folder / file)
        return np.delete(values, label, axis=1), values[:, label] == 1

    return make


def svmlight(file, dense=True):
    def make(folder, rng):
        from sklearn.datasets import load_svmlight_file

        X, y = load_svmlight_file(str(folder / file))
        return X.toarray() if dense else X, y > 0

    return make


def reviews(folder, rng):
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


def _stories(folder):
    """News stories, TF-IDF of their words, and the list of topics of each."""
    import gzip

    from sklearn.feature_extraction.text import TfidfVectorizer

    with gzip.open(folder / "reuters21578.tsv.gz", "rt", encoding="utf-8") as file:
        stories = [line.rstrip("\n").split("\t") for line in file]
    X = TfidfVectorizer().fit_transform([story[-1] for story in stories])
    return X, [story[1].split(",") for story in stories]


def reuters(folder, rng):
    """1 where "earn" is among the topics of a news story."""
    X, topics = _stories(folder)
    return X, np.array(["earn" in own for own in topics])


def topics(folder, count):
    """The most frequent topics, a column each."""
    X, topics = _stories(folder)
    names = Counter(name for own in topics for name in own if name)
    return X, np.array([[name in own for name, _ in names.most_common(count)] for own in topics])


def ten_topics(folder, rng):
    """Stories of one of the ten most frequent topics alone, and which one."""
    X, which = topics(folder, 10)
    alone = which.sum(axis=1) == 1
    return X.tocsr()[alone], which[alone].argmax(axis=1)


def iris(folder, rng):
    from sklearn.datasets import load_iris

    return load_iris(return_X_y=True)


def two_irises(folder, rng):
    X, y = iris(folder, rng)
    return X[y > 0], y[y > 0] - 1


def wine(folder, rng):
    from sklearn.datasets import load_wine

    return load_wine(return_X_y=True)


def digits(folder, rng):
    """Ten classes, pixels from 0 to 1; the training part."""
    with np.load(folder / "mnist/mnist_63k.npz") as stored:
        return stored["X"][:60_000].astype(np.float32) / 255, stored["y"][:60_000]


def letter(folder, rng):
    """A to M against N to Z; the class is the last column."""
    lines = (folder / "letter/letter.arff").read_text().splitlines()
    rows = [line.split(",") for line in lines if line.count(",") == 16 and not line.startswith(("@", "%"))]
    return np.array([row[:16] for row in rows], dtype=np.float64), np.array([row[16] > "M" for row in rows])


def electricity(folder, rng):
    lines = (folder / "electricity/electricity_openml.csv").read_text().split("\n")[1:]
    rows = [line.split(",") for line in lines if line]
    return np.array([row[1:-1] for row in rows], dtype=np.float64), np.array(
        [row[-1].strip() == "UP" for row in rows]
    )


def magic(folder, rng):
    rows = [line.split(",") for line in (folder / "magic04/magic04.data").read_text().split()]
    return np.array([row[:-1] for row in rows], dtype=np.float64), np.array([row[-1] == "g" for row in rows])


def mnist(folder, rng):
    """Even digits against odd ones, pixels from 0 to 1."""
    with np.load(folder / "mnist/mnist_63k.npz") as stored:
        return stored["X"].astype(np.float32) / 255, stored["y"] % 2 == 1


def arcene(folder, rng):
    parts = [
        (
            np.loadtxt(folder / f"arcene/arcene_{part}.data"),
            np.loadtxt(folder / f"arcene/arcene_{part}.labels"),
        )
        for part in ("train", "valid")
    ]
    return np.vstack([X for X, _ in parts]) / 1000, np.concatenate([y for _, y in parts]) > 0


spambase = numbers("spambase/spam.data", -1)
