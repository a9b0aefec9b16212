"""The rows that the splits of a cross-validation train and test on."""

import itertools
import warnings

import numpy as np
from sklearn.model_selection import StratifiedKFold, check_cv
from sklearn.utils import check_random_state

from .table import packed

_ROWS = 1 << 18  # rows that are processed together


class Split:
    """The training and test rows of all splits.

    Parameters
    ----------
    bits : ndarray (m, ⌈splits/8⌉) of uint8
        As in `Block`: which rows each split trains on.
    sizes : list of int
        How many rows each split tests on.
    tests : list of ndarray or None
        The numbers of these rows; None for folds, each of which tests on the rows that it does not train on.
    """

    def __init__(self, bits, sizes, tests=None):
        self.bits, self.sizes, self._tests = bits, sizes, tests

    def test(self, split):
        """Numbers of the rows that a split tests on."""
        if self._tests is not None:
            return self._tests[split]
        m = len(self.bits)
        found, filled = np.empty(self.sizes[split], dtype=np.min_scalar_type(m)), 0
        for start in range(0, m, _ROWS):
            rows = self._left_out(split, start, start + _ROWS)
            found[filled : filled + len(rows)] = rows + start
            filled += len(rows)
        return found

    def refuse_without_weight(self, weights):
        """Raise ValueError if the rows that a split tests on have no weight (m,), so that no score exists."""
        s = np.asarray(1 if weights is None else weights)
        for split in () if s.all() else range(len(self.sizes)):
            if not s[self.test(split)].any():
                raise ValueError(
                    f"In split {split} of `cv` all rows to test on have a `sample_weight` of zero; expected "
                    "one that counts. Use another split, or leave it out."
                )

    def of_blocks(self, counts, splits):
        """For each block of rows, triples (split, positions in its test set, rows of the block)."""
        orders = {}
        if self._tests is not None:
            orders = {split: _ascending(self._tests[split]) for split in splits}
        filled = dict.fromkeys(splits, 0)
        for start, stop in itertools.pairwise(itertools.accumulate(counts, initial=0)):
            found = []
            for split in splits:
                if orders:
                    order, test = orders[split]
                    own = slice(*np.searchsorted(test, [start, stop]))
                    places, rows = order[own], test[own].astype(np.intp) - start
                else:
                    rows = self._left_out(split, start, stop)
                    places = slice(filled[split], filled[split] + len(rows))
                    filled[split] += len(rows)
                if len(rows):
                    found.append((split, places, rows))
            yield found

    def _left_out(self, split, start, stop):
        return np.flatnonzero((self.bits[start:stop, split // 8] >> split % 8 & 1) == 0)

    @property
    def is_partition(self):
        """Whether the test sets contain every row once."""
        m = len(self.bits)
        if self._tests is None or sum(self.sizes) != m:
            return self._tests is None
        there = np.zeros(m, dtype=bool)
        for split in range(len(self.sizes)):
            there[self.test(split)] = True
        return bool(there.all())


def _ascending(test):
    order = np.argsort(test, kind="stable").astype(test.dtype, copy=False)
    return order, test[order]


def split_of(cv, shared, X, y, routed):
    """Return the Split by a `cv` as in scikit-learn, with `routed` arguments for the splitter.

    X and y are what the user gave; None for the rows of a source, whose splitter gets only labels.
    """
    m = len(shared.codes)
    if y is not None:
        return split_by(check_cv(cv, y, classifier=True).split(X, y, **routed), m)
    folds = check_cv(cv, shared.classes, classifier=True)
    if type(folds) is StratifiedKFold:
        return stratified(folds, shared.codes, len(shared.classes))
    return split_by(folds.split(np.empty((m, 0)), shared.classes[shared.codes], **routed), m)


def split_by(splits, n_samples):
    """The Split from pairs (train, test) of masks or of row numbers."""
    columns, tests = [], []
    for split, pair in enumerate(splits):
        try:
            train, test = (np.asarray(rows) for rows in pair)
            held_out, trains = np.empty(0), np.zeros(n_samples, dtype=bool)
            if train.size and test.size:  # an empty list is one of floats
                trains[train] = True
                held_out = np.arange(n_samples, dtype=np.min_scalar_type(n_samples))[test]
        except (TypeError, ValueError, IndexError) as error:
            raise ValueError(
                f"Split {split} of `cv` cannot be used: {error}; expected a pair (train, test) of numbers of "
                f"rows from 0 to {n_samples - 1}, or of masks with {n_samples} entries."
            ) from error
        if not (trains.any() and held_out.size):
            raise ValueError(f"Split {split} of `cv` has no rows to train or to test on.")
        if train.dtype != bool and len(train) != trains.sum():
            raise ValueError(
                f"Split {split} of `cv` trains on some rows more than once; give them a `sample_weight`."
            )
        if split % 8 == 0:
            columns.append(np.zeros(n_samples, dtype=np.uint8))
        columns[-1] |= trains.view(np.uint8) << (split % 8)
        tests.append(held_out)
    if not tests:
        raise ValueError("`cv` gives no split; expected at least one pair of rows to train and to test on.")
    return Split(np.stack(columns, axis=1), [len(test) for test in tests], tests)


def stratified(folds, codes, n_classes):
    """Return the Split that scikit-learn's StratifiedKFold makes, in two bytes per row instead of a hundred.

    Parameters
    ----------
    folds : StratifiedKFold
    codes : ndarray (m,)
        Class codes.
    n_classes : int

    Raises
    ------
    ValueError
        Every class has fewer rows than there are folds.
    """
    count, m = folds.n_splits, len(codes)
    counts = np.bincount(codes[:0], minlength=n_classes)
    for start in range(0, m, _ROWS):
        counts += np.bincount(codes[start : start + _ROWS], minlength=n_classes)
    if count > counts.max():
        raise ValueError(
            f"`cv` makes {count} folds, and no class has more than {counts.max()} rows; expected as many "
            "folds as the rarest class has rows, or fewer."
        )
    if count > counts[counts > 0].min():
        warnings.warn(
            f"The least populated class in y has only {counts[counts > 0].min()} members, which is less than "
            f"n_splits={count}.",
            UserWarning,
            stacklevel=2,
        )
    there = np.flatnonzero(counts)
    by_appearance = there[np.argsort([int(np.argmax(codes == code)) for code in there])]
    ends = np.cumsum([0, *counts[by_appearance]])
    fold, random = np.empty(m, dtype=np.min_scalar_type(count)), check_random_state(folds.random_state)
    for code, first, last in zip(by_appearance, ends, ends[1:], strict=False):
        # scikit-learn deals the sorted labels to the folds in turn: this is how many of the class each gets.
        own = -((np.arange(count) - last) // count) + (np.arange(count) - first) // count
        of_class = np.arange(count, dtype=fold.dtype).repeat(own)
        if folds.shuffle:
            random.shuffle(of_class)
        fold[codes == code] = of_class
    bits, sizes = np.empty((m, -(-count // 8)), dtype=np.uint8), np.zeros(count, dtype=int)
    for start in range(0, m, _ROWS):
        trains = fold[start : start + _ROWS, None] != np.arange(count, dtype=fold.dtype)
        bits[start : start + _ROWS] = packed(trains)
        sizes += len(trains) - trains.sum(axis=0)
    return Split(bits, sizes.tolist())
