"""Scores that need no more memory than a sort of the margins; scikit-learn's make a dozen arrays of the rows.

Their values are those of scikit-learn up to rounding.
"""

import numpy as np

_AT_ONCE = 1 << 18  # rows


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
        return _won(above, None, below, None) / len(above) / len(below)
    order, mine = np.argsort(below, kind="stable"), s[ones]
    sums = np.concatenate([[0.0], np.cumsum(s[~ones][order], dtype=np.float64)])
    whole = mine.sum(dtype=np.float64) * sums[-1]
    return float(_won(above, mine, below[order], sums) / whole) if whole > 0 else None


def _won(above, mine, below, sums):
    """The sum, over the numbers of `above`, of the weight of the smaller numbers of `below`, which ascend,
    and half of that of the equal ones.

    `mine` are the weights of `above`, `sums` the cumulative ones of `below`; None if all are one.
    """
    total = 0.0
    for start in range(0, len(above), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        first, last = (np.searchsorted(below, above[some], side=side) for side in ("left", "right"))
        won = 0.5 * (first + last if sums is None else sums[first] + sums[last])
        total += float(won.sum() if mine is None else mine[some] @ won)
    return total


RATES = {None: accuracy, "accuracy": accuracy, "roc_auc": roc_auc}
"""The functions by the names that `scoring` has for them."""
