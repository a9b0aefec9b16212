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
    """The share of pairs of a row of each class in which that of class 1 has the larger margin; equal ones
    count half. None for rows of one class, or of three.

    Parameters as of `accuracy`.
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
    """For each number of `above`, the sum over those of ascending `below` that are less, and half the equal
    ones'."""
    first = sums[np.searchsorted(below, above, side="left")]
    return 0.5 * (first + sums[np.searchsorted(below, above, side="right")])


RATES = {None: accuracy, "accuracy": accuracy, "roc_auc": roc_auc}
"""By what `scoring` calls them."""
