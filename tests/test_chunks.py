"""Chunks of a callable: of any kind, with empty ones among them, they are fitted like the rows in memory."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse

from logreg_accel import LogisticRegression, LogisticRegressionCV, scan

NAMES = list("abc")


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    X = np.where(rng.random((90, 3)) < 0.7, rng.standard_normal((90, 3)), 0)
    return X, np.where(X[:, 0] + rng.logistic(size=90) > 0, "yes", "no")


def arrow(X):
    return pa.table({name: X[:, j] for j, name in enumerate(NAMES)})


def turned(X):
    """A frame whose columns are in another order each time."""
    return pd.DataFrame(X, columns=NAMES)[[*np.roll(NAMES, len(X))]]


KINDS = {
    "lists": np.ndarray.tolist,
    "rows beside each other": np.asfortranarray,
    "sparse": scipy.sparse.csr_array,
    "sparse by columns": scipy.sparse.csc_matrix,
    "frames": turned,
    "frames without names": pd.DataFrame,
    "Arrow tables": arrow,
    "Arrow batches": lambda X: arrow(X).to_batches()[0] if len(X) else arrow(X),
}


@pytest.mark.parametrize("kind", KINDS)
def test_chunks_of_any_kind_are_fitted_like_rows_in_memory(kind, rows):
    X, y = rows
    made = KINDS[kind]

    def chunks():
        """Empty ones come first, last and between."""
        for start, stop in ((0, 0), (0, 11), (11, 11), (11, 50), (50, 90), (90, 90)):
            yield made(X[start:stop]), y[start:stop]

    source = scan(chunks, memory="96MB")
    model = LogisticRegression(tol=1e-13).fit(source)
    expected = LogisticRegression(tol=1e-13).fit(X, y)
    order = slice(None)
    if named := getattr(model, "feature_names_in_", None) is not None:
        order = [list(model.feature_names_in_).index(name) for name in NAMES]
    assert named == (kind == "frames" or "Arrow" in kind)
    np.testing.assert_allclose(model.coef_[:, order], expected.coef_, rtol=1e-7)
    margins = np.concatenate(list(model.decision_function(source)))
    np.testing.assert_allclose(margins, expected.decision_function(X), rtol=1e-7)
    assert model.score(source) == expected.score(X, y)
    settings = {"Cs": [0.1, 1.0], "cv": 2, "tol": 1e-13}
    scores = [LogisticRegressionCV(**settings).fit(*given).scores_ for given in ((source,), (X, y))]
    np.testing.assert_allclose(*scores, rtol=1e-7)


@pytest.mark.parametrize("empty", [[], np.empty((0, 2)), scipy.sparse.csr_array((0, 3))], ids=repr)
def test_what_has_no_rows_tells_no_columns(empty, rows):
    X, y = (part[:50] for part in rows)
    model = LogisticRegression().fit(scan(lambda: iter([(empty, []), (X, y), (empty, [])])))
    np.testing.assert_allclose(model.coef_, LogisticRegression().fit(X, y).coef_, rtol=1e-6)
    with pytest.raises(ValueError, match="the source has no rows"):
        LogisticRegression().fit(scan(lambda: [(empty, [])]))


REFUSED = {
    "nothing": (lambda X, y: None, "calling it gave NoneType; expected an iterator"),
    "labels in a column": (lambda X, y: [(X, y[:, None])], r"90 rows of X and a target of shape \(90, 1\)"),
    "one label": (lambda X, y: [(X[:9], y[:9]), (X[9:], 1)], r"from row 9 on: 81 .* a target of shape \(\)"),
    "complex weights": (lambda X, y: [(X, y, 1j * np.ones(90))], "must be real numbers .*complex"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_chunk_is_told(case, rows):
    chunks, message = REFUSED[case]
    with pytest.raises((ValueError, TypeError), match=f"the chunks of given.*{message}"):

        def given():
            return chunks(*rows)

        LogisticRegression().fit(scan(given))
