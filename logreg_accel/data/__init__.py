"""Rows of data as the passes see them: `Block` and `Dataset`; `as_dataset` makes them of whatever the user holds."""

from typing import Any, NamedTuple

import numpy as np

from .convert import as_labels, as_matrix, as_weights, class_weights, codes_of, encode_labels, in_namespace_of, is_on_device
from .sparse import stored_bytes

__all__ = ["Block", "Dataset", "as_dataset", "as_labels", "as_matrix", "compute_dtype", "in_namespace_of", "storage_dtype"]


class Block(NamedTuple):
    """Some rows.

    X : 2-d array (rows, n_features), any real dtype and layout, or in compressed rows (`sparse`); host or device.
    y : class codes (rows,);
    sample_weight : (rows,) of X's arithmetic dtype, or None for ones.
    """

    X: Any
    y: Any
    sample_weight: Any = None


class Dataset:
    """Blocks of rows that can be iterated again and again.

    Attributes
    ----------
    n_rows, n_features : int
    dtype : numpy.dtype
        Storage dtype of X.
    classes : ndarray
        Sorted labels; code i stands for classes[i].
    weight_sum, least_weight : float
        Σᵢ sᵢ and the smallest positive sᵢ of the blocks' weights.
    total_weight : float
        Σᵢ sᵢ as the user gave them: the blocks' times `weight_scale`.
    """

    def __init__(self, blocks, classes, weight_scale=1.0):
        self.blocks = tuple(blocks)
        self.classes = classes
        first = self.blocks[0].X
        self.n_features = first.shape[1]
        self.dtype = storage_dtype(first)
        self.n_rows = sum(block.X.shape[0] for block in self.blocks)
        self.on_device = is_on_device(first)
        weights = [block.sample_weight for block in self.blocks]
        weighted = weights[0] is not None
        self.weight_sum = float(sum(s.sum(dtype=np.float64) for s in weights)) if weighted else float(self.n_rows)
        self.total_weight = self.weight_sum * weight_scale
        self.least_weight = float(min(s[s > 0].min(initial=np.inf) for s in weights)) if weighted else 1.0

    def __iter__(self):
        return iter(self.blocks)

    @property
    def nbytes(self):
        """Bytes that one read of X moves."""
        return sum(stored_bytes(block.X, self.dtype) for block in self.blocks)


def as_dataset(X, y, sample_weight=None, class_weight=None, classes=None):
    """Check X, y and the weights and lay them out for the passes, without a copy of X where that can be.

    Parameters
    ----------
    X : array, frame or table (n_samples, n_features); see `as_matrix`
    y : labels (n_samples,), two or more classes of any kind
    sample_weight : (n_samples,), a number or None
    class_weight : dict, "balanced" or None
    classes : ndarray or None
        Sorted labels that there are, of which y may lack some; None takes those of y.

    Returns
    -------
    Dataset

    Raises
    ------
    ValueError, TypeError
        Anything wrong with the input but non-finite values of X: those are found inside the first pass.
    """
    X = as_matrix(X)
    y = as_labels(y)
    if len(y) != X.shape[0]:
        raise ValueError(
            f"Found input variables with inconsistent numbers of samples: `X` has {X.shape[0]} rows and `y` {len(y)}. "
            "Give one label a row."
        )
    given = classes
    classes, codes = encode_labels(y) if given is None else (given, codes_of(y, given))
    s = as_weights(sample_weight, X.shape[0])
    s = class_weights(class_weight, classes, codes, s)
    if s is not None and given is None:
        absent = np.setdiff1d(np.arange(len(classes)), codes[s > 0])
        if len(absent) >= len(classes) - 1:
            raise ValueError(
                "`y` has only one class among the samples with a positive weight; two classes are needed. "
                "Check `sample_weight` and `class_weight`."
            )
        if len(absent):
            raise ValueError(f"`y` has classes without a sample of positive weight: {classes[absent].tolist()}. "
                             "Leave their rows out.")
    if s is not None:
        # a power of two brings the largest weight to between 1 and 2: any weights then fit float32, to the same bits
        scale = 2.0 ** (np.frexp(s.max())[1] - 1)
        return Dataset([Block(X, codes, (s / scale).astype(compute_dtype(storage_dtype(X))))], classes, scale)
    return Dataset([Block(X, codes)], classes)


def storage_dtype(X):
    """X's dtype as NumPy names it; PyTorch's and JAX's print alike."""
    if isinstance(X.dtype, np.dtype):
        return X.dtype
    name = str(X.dtype).removeprefix("torch.")
    if name == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(name)


def compute_dtype(storage):
    """float32 for what it holds exactly and fast (float32, 16-bit floats, 8-bit integers, bool), else float64."""
    if storage.kind == "f":
        return np.dtype(np.float32 if storage.itemsize <= 4 else np.float64)
    return np.dtype(np.float32 if storage.itemsize == 1 or storage.name == "bfloat16" else np.float64)
