"""The interface of all rows: blocks in a fixed order, sums over them, handles on row vectors."""

import contextlib
import copy
import math

import numpy as np

from ..backends.passes import RowVector, Sums
from .tree import InOrder


def _closing(blocks):
    return contextlib.closing(blocks) if hasattr(blocks, "close") else contextlib.nullcontext(blocks)


class Rows:
    """Rows that a pass can be summed over. Knows no mean, no penalty and no solver.

    A subclass defines where blocks come from, in `blocks`, and how rows are drawn. Vectors with a number per
    row (margins, curvatures) stay here as a `RowVector`, a handle that callers pass back; `to_host` gives the
    numbers in the order of the rows.

    Parameters
    ----------
    backend : Backend
        Runs passes on blocks.
    n_rows, n_features : int
    dtype : numpy.dtype
        Of the arithmetic.
    weight_sum : float
        Σᵢ sᵢ of the rows that these stand for.
    share : float
        The cost of one sum in reads of all rows: 1 for all rows, 0 for rows gathered into memory.

    Attributes
    ----------
    cost : float
        Reads of all rows that drawing these took.
    nbytes : int
        Bytes that a read moves.
    entries : int
        Upper bound of the numbers of X that a read processes, to which its time is proportional.
    least_weight : float
        A lower bound on the positive sᵢ.
    in_memory : bool
        Whether chosen rows are accessible without a read.
    gathers : bool
        Whether rows of a next draw are gathered during an evaluation that announces it.
    numbers : ndarray or None
        For drawn rows, their numbers among the rows in memory that they were drawn from.
    centre : ndarray (n_features,) or None
        The vector that is subtracted from every row.
    rounds_to : numpy.dtype
        The dtype of the coefficients of a model of these rows.
    log : Checkpoint or None
        The log of sums for a fit that can be resumed.
    scale : float or ndarray (n_features,)
        Approximate root mean squares of the columns.
    offset_scale : float or None
        Root mean square of the offset of the rows; None without one.
    fineness : float
        The rounding of products with X, in units of that of their dtype.
    left_out : int or None
        Tells rows that lack rows or classes from others that lack others.
    most_kept : float
        Bytes of drawn rows that many models may keep for each other.
    piled : float
        The number of rounding errors that accumulate in sums, in addition to those of the terms.
    """

    cost = 0.0
    nbytes = 0
    least_weight = 0.0
    in_memory = False
    gathers = False
    numbers = None
    centre = None
    log = None
    piled = 1.0
    most_kept = math.inf
    scale = 1.0
    offset_scale = None
    fineness = 1.0
    left_out = None

    def __init__(self, backend, n_rows, n_features, dtype, weight_sum, share=1.0):
        self.backend = backend
        self.n_rows, self.n_features, self.dtype = n_rows, n_features, dtype
        self.entries = n_rows * n_features
        self.rounds_to = dtype
        self.weight_sum = weight_sum
        self.share = share

    def blocks(self):
        """The blocks on the backend's device, always in the same order; they need not stay in memory."""
        raise NotImplementedError

    # -- sums ------------------------------------------------------------------------------------------------

    def sum(self, pass_):
        """The result of a pass over all rows, in one read: sums in a fixed order, or a RowVector."""
        if self.log is None:
            return self._over_blocks(pass_, self.blocks)
        return self.log.sums(pass_, self._about(), lambda: self._over_blocks(pass_, self.blocks))

    def sweep(self, pass_):
        """The result of a pass that needs row vectors, labels and weights, but not X: no read."""
        if self.log is None:
            return self._over_blocks(pass_, self._without_x)
        return self.log.sums(pass_, self._about(), lambda: self._over_blocks(pass_, self._without_x))

    def _without_x(self):
        """The blocks, which may lack X."""
        return self.blocks()

    def _about(self):
        """Everything besides the rows and the pass on which sums depend."""
        about = self.dtype.name, self.centre
        return about if self.left_out is None else (*about, self.left_out)

    def _over_blocks(self, pass_, blocks):
        """Add the results of the blocks one after the other, so that only few are held at a time."""
        pass_ = pass_.made()  # during this read, making them in another one would wait for its buffers
        adding, vectors = self._adding(pass_), []
        # The error about sums that are not finite names the place; after an error, blocks are released.
        with np.errstate(invalid="ignore", over="ignore"), _closing(self._parts(pass_, blocks)) as parts:
            for part in parts:
                if pass_.of_rows:
                    vectors.append(self._held(part))
                    continue
                if isinstance(part, Sums) and part.margins is not None:
                    vectors.append(self._held(part.margins))
                    part = part._replace(margins=None)
                adding.add(part)
        return self._with(adding.total(), pass_, vectors)

    def _parts(self, pass_, blocks):
        """The results of a pass over each block, in order."""
        with _closing(blocks()) as found:
            for i, block in enumerate(found):
                yield self.backend.run(pass_.for_block(i), block)

    def _adding(self, pass_):
        """The object that adds up the sums of the blocks, in order."""
        return InOrder(pass_)

    def _with(self, total, pass_, vectors):
        """The result of a pass: sums, a row vector made of parts, or both."""
        if pass_.of_rows:
            return self._vector(vectors)
        return total._replace(margins=self._vector(vectors)) if vectors else total

    def _held(self, part):
        """The form in which a block's part of a row vector is kept."""
        return part

    def _vector(self, parts):
        return RowVector(parts)

    def reads(self, kind, loss=None, diagonal=False):
        """The number of reads of all rows that a kind of pass costs."""
        return self.share * self.backend.reads(kind, loss, diagonal)

    def offers(self, kind, loss):
        """Whether there is a kernel for a kind of pass that has no generic body."""
        return False

    def columns_in_memory(self):
        """X if it is one matrix in host memory, whose columns can be accessed one by one; else None."""
        return None

    def exactly_weighted(self):
        """The same rows with weights that are not rounded to the arithmetic of the passes."""
        return self

    def to_host(self, vector):
        """A row vector in the order of the rows."""
        return np.concatenate([self.backend.to_host(part) for part in vector.parts])

    def row_vector(self, values):
        """A handle on the caller's numbers, (n_rows,) or (n_rows, k), on the host and in order."""
        ends = np.cumsum([block.X.shape[0] for block in self.blocks()])[:-1]
        parts = (np.ascontiguousarray(part) for part in np.split(values, ends))
        return RowVector([self.backend.xp.asarray(part) for part in parts])

    def deviations(self, intercept):
        """Standard deviations of the columns, with the weights of the rows; 1 for constant ones. One read."""
        raise TypeError(f"`standardize` is not offered for {type(self).__name__}; scale the columns first.")

    # -- other rows ------------------------------------------------------------------------------------------

    def draw(self, size, seed, mass=None, by_norms=False):
        """About `size` rows gathered into memory, weighted so that their sums estimate those of all; None if
        `size` is most of the rows.

        Parameters
        ----------
        size : float
        seed : int
        mass : RowVector or None
            The contribution of each row to a Hessian, without its norm; None draws equally many rows from
            every class.
        by_norms : bool
            Whether the norms of all rows are worth two reads, kept for later draws.

        Returns
        -------
        Rows or None
            None also if rows cannot be drawn; callers then use all of them.
        """
        return None

    def in_float64(self, intercept):
        """All rows with sums in float64; None if they are already, or if that is not offered."""
        return None

    def finer(self):
        """All rows with sums in long double; None where that is not offered."""

    def unrounded(self):
        """The same rows for points that are not rounded; None if sums are not in float64."""
        if self.dtype != np.float64:
            return None
        rows = copy.copy(self)
        rows.rounds_to = rows.dtype
        return rows

    def witnesses(self, size, seed, mass=None):
        """Rows with their own weights and sums in float64, drawn by mass.

        Parameters
        ----------
        size : float
            The number of rows; inf for all.
        seed : int
        mass : RowVector or None
            The contribution of each row to a Hessian, without its norm; None takes evenly spaced rows.

        Returns
        -------
        Rows or None
            None if these rows themselves are to be used.
        """
        return None

    def rows_of_proof(self, size):
        """How many rows `witnesses` draws at most if it is asked for this many."""
        return size

    def reads_to_draw(self, size, by_norms=False):
        """The approximate cost of a draw in reads of all rows."""
        return min((1 if by_norms else 2) * size / self.n_rows, 1)

    def wanted(self, draws):
        """The inputs of draws by mass that a LossGradient can gather: a tuple, empty if that saves no read.

        Parameters
        ----------
        draws : iterable of (size, seed, for_proof)
            As for `draw` or, for a proof, `witnesses`.
        """
        return ()

    def batch(self, numbers, n_batches):
        """Some of `n_batches` batches that together contain every row once, as weighted views."""
        raise TypeError(f"{type(self).__name__} cannot be cut into batches. Use another solver than 'sgd'.")

    # -- what is wrong with X --------------------------------------------------------------------------------

    def first_nonfinite(self):
        """Row, column and name of the first number of X that is not finite, or None."""
        start = 0
        for block in self.blocks():
            found = block.X.first_nonfinite()
            if found is not None:
                row, column, value = found
                return start + row, column, value
            start += block.X.shape[0]
        return None

    def refuse_nonfinite(self):
        """Raise ValueError with the place of a number in X that is not finite, if there is one."""
        found = self.first_nonfinite()
        if found is not None:
            row, column, value = found
            raise ValueError(
                f"Input `X` contains {value}: first at row {row}, column {column}. "
                "NaN and inf cannot be fitted; drop those rows or impute them (sklearn.impute)."
            )

    def refuse_overflow(self):
        """Raise ValueError for sums over a finite X that are not finite."""
        advice = " or pass float64." if self.dtype == np.float32 else "."
        raise ValueError(
            f"Sums over `X` overflow {self.dtype}: its values are too large. Scale the columns "
            f"(sklearn.preprocessing.StandardScaler){advice}"
        )
