"""Scores that need no more memory than a sort of the margins; scikit-learn's make a dozen arrays of the rows.

Their values are those of scikit-learn up to rounding.
"""

import numpy as np


def accuracy(margins, y, s):
    """The share of rows whose label is predicted.

    Parameters
    ----------
    margins : ndarray (rows, k)
    y : ndarray of int (rows,)
        Class codes.
    s : ndarray (rows,) or None
        Weights.
    """
    predicted = margins[:, 0] > 0 if margins.shape[1] == 1 else margins.argmax(axis=1)
    return float(np.average(predicted == y, weights=s))


def roc_auc(margins, y, s):
    """The area under the ROC curve, None if there are not exactly two classes; parameters as in `accuracy`.

    It is the share of pairs (a row of class 0, a row of class 1) in which the row of class 1 has the larger
    margin; pairs of equal margins count half.
    """
    z = margins[:, 0]
    if margins.shape[1] > 1 or not np.isfinite(z).all():
        return None
    ones = y == 1
    above, below = z[ones], z[~ones]
    if not (len(above) and len(below)):
        return None
    if s is None:
        below.sort()
        won = _below(np.arange(len(below) + 1), below, above)
        return float(won.sum() / len(above) / len(below))
    order, mine = np.argsort(below, kind="stable"), s[ones]
    sums = np.concatenate([[0.0], np.cumsum(s[~ones][order], dtype=np.float64)])
    whole = mine.sum(dtype=np.float64) * sums[-1]
    return float(mine @ _below(sums, below[order], above) / whole) if whole > 0 else None


def _below(sums, below, above):
    """For each number of `above`, the sum over smaller numbers of `below`, which ascend, plus half of the
    equal ones."""
    first = sums[np.searchsorted(below, above, side="left")]
    return 0.5 * (first + sums[np.searchsorted(below, above, side="right")])


RATES = {None: accuracy, "accuracy": accuracy, "roc_auc": roc_auc}
"""The functions by the names that `scoring` has for them."""
