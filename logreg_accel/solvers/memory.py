"""The memory that a solver needs beside X, known before the first read."""

from typing import NamedTuple

_POINTS = 4  # the best point, the two ends of the last step, and the one being tried
_OF_A_MODEL = 32  # vectors of a model: points, and the changes that a solver keeps of its last steps
_PROVEN_UP_TO = 2000  # number of parameters up to which a proof forms matrices
_WEIGHTED = 1 << 25  # bytes of the weighted copy of some rows that a thread makes for a Hessian
_ALWAYS = 1 << 26
"""Smaller amounts are not checked: the check takes a noticeable part of the time of a small fit."""


class Shape(NamedTuple):
    """The sizes of a problem.

    Attributes
    ----------
    n_rows, n_features, n_outputs : int
    nbytes : int
        Of X.
    real : int
        Bytes of a margin.
    threads : int
        Of the machine.
    """

    n_rows: int
    n_features: int
    n_outputs: int
    nbytes: int
    real: int = 8
    threads: int = 1

    @property
    def size(self):
        """Parameters, an intercept included."""
        return (self.n_features + 1) * self.n_outputs

    def vectors(self, count):
        """Bytes of `count` vectors, of the known points with their margins, and of a pass and a proof."""
        margins = self.real * self.n_rows * self.n_outputs
        sums = min(self.nbytes // 4, 128 * 8 * self.size)  # side by side, on all threads
        return 8 * (2 * _POINTS + count) * self.size + _POINTS * margins + sums + self.proof()

    def proof(self):
        """Bytes of the rows and the matrices of a proof."""
        rows = self.rows(3 * max(16 * self.size, 2.5 * self.n_rows / self.size))
        return rows + (self.matrices(4, self.size) if self.size <= _PROVEN_UP_TO else 0)

    def beside_others(self):
        """Bytes of one more model with shared reads: its vectors, and a metric if that is a matrix."""
        return 8 * _OF_A_MODEL * self.size + (
            self.matrices(1, self.size) if self.size <= _PROVEN_UP_TO else 0
        )

    def matrices(self, count, size):
        """Bytes of square matrices."""
        return 8 * count * size * size

    def hessian(self, size):
        """Bytes of a Hessian, its factor, a temporary copy, and the sums and weighted rows of all threads."""
        m, n = self.n_rows, self.n_features
        lanes = min(64, max(min(2, m // n), m // (8 * n)))
        weighted = max(min(lanes, self.threads), 1) * min(self.rows(4 * n), _WEIGHTED)
        return self.matrices(3, size) + min(self.matrices(lanes, size), 1 << 28) + weighted

    def rows(self, count):
        """Bytes of rows gathered from X."""
        return int(self.nbytes * min(count / max(self.n_rows, 1), 1))

    def sample(self, count):
        """Bytes of a sample and of its candidates; 0 if these would be most rows."""
        return 0 if 2 * count >= self.n_rows else 3 * self.rows(count)


class Growing(Shape):
    """The sizes that are known while rows are still coming, perhaps with more columns and classes.

    What may turn out smaller for more of them does not count: chosen rows, which may be short ones, and a
    proof, which forms no matrices of many parameters. With `n_rows` = 0, neither do sums for each thread.
    """

    __slots__ = ()

    def proof(self):
        return 0

    def rows(self, count):
        return 0


def needed(solver, shape):
    """Bytes that a solver needs beside X; 0 if it does not say."""
    estimate = getattr(solver, "bytes_beside", None)
    return 0 if estimate is None else int(estimate(shape))


def fits(solver, shape, available):
    """Whether the memory that a solver needs is available; `available` is a function () -> bytes or None."""
    return has_room(needed(solver, shape), available)


def has_room(wanted, available):
    """Whether this many bytes are available."""
    if wanted <= _ALWAYS:
        return True
    there = available()
    return there is None or wanted <= there


def shortage(name, solver, shape, available):
    """A text about what a solver needs and what is available."""
    what = f"{shape.n_features} features" + (f" × {shape.n_outputs} classes" if shape.n_outputs > 1 else "")
    wanted, there = in_units(needed(solver, shape)), in_units(available())
    return f"{name} needs {wanted} beside X for {what} and {there} are available"


def in_units(n_bytes):
    """12 GB, 3.4 MB."""
    return f"{n_bytes / 1e9:.3g} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.3g} MB"
