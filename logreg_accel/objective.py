"""The objective: sums over blocks of rows, made means, plus the penalty."""

import copy

import numpy as np

from . import duality, row_space, sampling
from .backends import get_backend
from .data import as_dataset, compute_dtype
from .data.convert import first_nonfinite
from .losses import loss_of
from .penalty import Penalty
from .solvers.questions import Point


class Objective:
    """F(w, b) = (1/Σᵢ sᵢ)·Σᵢ sᵢ·ℓ(xᵢ·w + b, yᵢ) + (λ/2)·‖w‖², with λ = 1/(C·Σᵢ sᵢ).

    This is scikit-learn's objective C·Σᵢ sᵢ·ℓᵢ + ½‖w‖² divided by C·Σᵢ sᵢ: the same minimum, and tolerances mean the
    same at every size. Points are flat float64 vectors [w, b] of shape (n_features + 1,), or [w] without an intercept; with K
    outputs (softmax) the rows of a matrix (n_features + 1, K), one after the other.
    Nothing is remembered between calls: asked twice at one point it answers twice the same bits.

    Parameters
    ----------
    dataset : Dataset
    loss : Logistic or Multinomial
    penalty : Penalty
    backend : Backend
    fit_intercept : bool

    See Also
    --------
    Objective.from_arrays : the way in for pipelines that bring their own optimiser.
    """

    def __init__(self, dataset, loss, penalty, backend, fit_intercept=True):
        self.dataset = dataset
        self.loss = loss
        self.penalty = penalty
        self.backend = backend
        self.fit_intercept = fit_intercept
        self.dtype = compute_dtype(dataset.dtype)
        self.value_at_zero = loss.at_zero
        self.weight_sum = dataset.weight_sum
        self.share = 0.0  # of the rows, where this is a batch
        self.blocks = [backend.upload(block) for block in dataset]

    @classmethod
    def from_arrays(cls, X, y, sample_weight=None, *, C=1.0, fit_intercept=True, class_weight=None, backend="auto",
                    n_threads=None):
        """The logistic objective of some arrays, for an optimiser of your own.

        Parameters
        ----------
        X : array, frame or table (n_samples, n_features)
        y : labels (n_samples,); of two classes the larger one is "positive", more have the softmax loss
        sample_weight : (n_samples,) or None
        C : float
            Inverse strength of the penalty on w, as in scikit-learn; np.inf for none.
        fit_intercept : bool
        class_weight : dict, "balanced" or None
        backend : "auto", "numpy", "numba" or "cupy"
        n_threads : int or None

        Returns
        -------
        Objective

        Raises
        ------
        ValueError, TypeError, RuntimeError
            As `LogisticRegression.fit`.

        Examples
        --------
        >>> import numpy as np, scipy.optimize
        >>> from logreg_accel import Objective
        >>> X, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0, 1, 0, 1])
        >>> objective = Objective.from_arrays(X, y, C=1.0)
        >>> result = scipy.optimize.minimize(objective.value_and_gradient, np.zeros(2), jac=True)
        >>> bool(result.success)
        True
        """
        dataset = as_dataset(X, y, sample_weight, class_weight)
        loss = loss_of(len(dataset.classes))
        chosen, _ = get_backend(
            backend, dataset.nbytes, dataset.on_device, n_threads, n_rows=dataset.n_rows, n_outputs=loss.n_outputs)
        return cls(dataset, loss, Penalty.of_strength(C, dataset.total_weight), chosen, fit_intercept)

    @property
    def size(self):
        """Length of a point."""
        return (self.dataset.n_features + self.fit_intercept) * self.loss.n_outputs

    # -- public: plain numbers and NumPy vectors ----------------------------------------------------------------------

    def value_and_gradient(self, w):
        """F and its gradient at w, out of one read of X.

        Where the arithmetic is float32 (float32, 16-bit and 8-bit X), w is rounded to float32 first: F is then a function
        of the rounded w, and does not see changes below 1e-7 of a weight.

        Parameters
        ----------
        w : array (size,)

        Returns
        -------
        value : float
        gradient : ndarray (size,), float64

        Raises
        ------
        ValueError
            X has a value that is not finite (named), or w has the wrong shape.
        """
        point = self.evaluate(w)
        return point.value, point.gradient

    def hessian_vector(self, w, v, margins=None):
        """∇²F(w)·v out of one read of X.

        Parameters
        ----------
        w, v : array (size,)
        margins : those of the Point at w, where it is at hand
            They spare a product with X.

        Returns
        -------
        ndarray (size,), float64

        Raises
        ------
        ValueError
            w or v has the wrong shape.
        """
        W, V = self._columns(w), self._columns(v)
        known = [None] * len(self.blocks) if margins is None else margins
        with np.errstate(invalid="ignore", over="ignore"):
            total = sum(self.backend.hessian_vector(block, W, V, self.loss, Z)
                        for block, Z in zip(self.blocks, known, strict=True))
        return self._mean(total) + self.penalty.gradient(self.penalised(v))

    def diagonal(self, w):
        """The diagonal of ∇²F(w), float64 (size,), out of one read of X. Parameters and errors as `hessian_vector`."""
        W = self._columns(w)
        with np.errstate(invalid="ignore", over="ignore"):
            total = sum(self.backend.diagonal(block, W, self.loss) for block in self.blocks)
        return self._mean(total) + self.ridge()

    def hessian(self, w):
        """∇²F(w), float64 (size, size), out of one read of X. Parameters and errors as `hessian_vector`."""
        return self.backend.to_host(self._hessian(w))

    def margins(self, w):
        """xᵢ·w + b, (n_samples,) or (n_samples, K) in the arithmetic of the passes, out of one read of X."""
        W = self._columns(w)
        z = np.concatenate([self.backend.to_host(self.backend.margins(block, W)) for block in self.blocks])
        return z[:, 0] if self.loss.n_outputs == 1 else z

    # -- for the driver -----------------------------------------------------------------------------------------------

    def evaluate(self, w, keep_margins=False, diagonal=False):
        """The Point at w, rounded to the arithmetic of the passes, with what else is wanted of that read."""
        W = self._columns(w).astype(self.dtype).astype(np.float64)
        w = self._flat(W)
        value, gradient, margins, curvatures = 0.0, np.zeros(self.size), [], 0.0
        with np.errstate(invalid="ignore", over="ignore"):  # told below, with the place
            for block in self.blocks:
                part = self.backend.loss_gradient(block, W, self.loss, keep_margins, diagonal)
                value += float(part.value[0])
                gradient += self._flat(part.gradient)
                margins.append(part.margins)
                curvatures = curvatures + part.diagonal if diagonal else None
        if not (np.isfinite(value) and np.isfinite(gradient).all()):
            self._refuse_nonfinite(w)
            value = np.inf
        value = value / self.weight_sum + self.penalty.value(self.penalised(w))
        gradient = gradient / self.weight_sum + self.penalty.gradient(self.penalised(w))
        curvatures = self._mean(curvatures) + self.ridge() if diagonal and np.isfinite(value) else None
        return Point(w, value, gradient, np.finfo(self.dtype).eps * abs(value), margins if keep_margins else None, curvatures)

    def line_minimum(self, start, end):
        """t ≥ 0 with F least at start.w + t·(end.w − start.w): a safeguarded Newton iteration on margins, no read of X.

        Stops where the slope is 1 % of that at the start.
        """
        w, d = self.penalised(start.w), self.penalised(end.w) - self.penalised(start.w)

        def slope_curvature(t):
            slope, curvature = sum(
                self.backend.line(block, z0, z1, t, self.loss)
                for block, z0, z1 in zip(self.blocks, start.margins, end.margins, strict=True)
            ) / self.weight_sum
            return slope + self.penalty.gradient(w + t * d) @ d, curvature + self.penalty.gradient(d) @ d

        enough = 0.01 * abs(slope_curvature(0.0)[0])
        low, high, t = 0.0, np.inf, 1.0
        for _ in range(60):
            slope, curvature = slope_curvature(t)
            if abs(slope) <= enough:
                break
            low, high = (t, high) if slope < 0 else (low, t)
            newton = t - slope / curvature if curvature > 0 else np.inf
            if not low < newton < min(high, 10 * t):
                newton = 4 * t if high == np.inf else 0.5 * (low + high)
            if newton > 1e6:
                break
            t = newton
        return t

    def sample(self, size, seed, at=None, norms=None):
        """The objective on some of the rows, weighted so that its sums estimate those of all; and the share of rows read.

        The objective itself where the sample would be most of the rows.

        Rows are drawn by class, or, with a Point that holds margins, in proportion to what they add to its Hessian: weight
        × curvature × squared norm in columns scaled to one size (else a large column owns the norm). The norms are those of
        twice as many candidates drawn by weight × curvature alone, so that no read goes into norms: with the norms of all
        rows in hand it took one read less on lognormal counts, and nothing less elsewhere. Rows of Fortran order are gathered one
        by one too: 45 ms of 225 for 150,000 x 400, by rows 26 of 212; runs of rows would not stand for sorted data.

        With `norms` (m,), for those who draw many samples, half of the rows are drawn by weight × curvature alone: images
        have rare pixels, and norms alone took 13 to 16 steps where this takes 8; none of them took twice as many reads on
        heavy tails.
        """
        m = self.dataset.n_rows
        if (2 if norms is None else 1) * size >= m:
            return self, 1.0
        rng = np.random.default_rng([seed, size])
        y, s = (self.joined([getattr(block, name) for block in self.blocks]) for name in ("y", "sample_weight"))
        sample = copy.copy(self)
        if at is None:
            rows, weights = sampling.by_class(y, s, size, len(self.dataset.classes), rng, self.backend)
            sample.blocks = self.take(rows, weights)
            return sample, len(rows) / m
        mass = self.loss.curvature(self.joined(at.margins), y).sum(axis=1)
        mass = mass if s is None else s * mass
        if norms is None:
            rows, weights = sampling.by_mass(mass, 2 * size, rng, self.backend)
            sample.blocks = self.take(rows, np.ones(len(rows)))
            norms = sample.row_squares(sample.mean_squares())
            likely = self.backend.xp.asarray(weights) * mass[self.backend.xp.asarray(rows)] * norms
            kept, again = sampling.by_mass(likely, size, rng, self.backend)
            sample.blocks = sample.take(kept, self._weighted(rows[kept], weights[kept] * again))
        else:
            with np.errstate(invalid="ignore"):  # no mass at all: rows are drawn evenly
                both = [part / part.sum(dtype=np.float64).astype(part.dtype) for part in (mass, mass * norms)]
            rows, weights = sampling.by_mass(both[0] + both[1], size, rng, self.backend)
            sample.blocks = self.take(rows, self._weighted(rows, weights))
        return sample, len(rows) / m

    def mean_squares(self):
        """The mean square of every column, (n_features,), out of one read of X."""
        sums = sum(self.backend.column_squares(block) for block in self.blocks)
        return sums / sum(block.X.shape[0] for block in self.blocks)

    def row_squares(self, columns):
        """‖xᵢ‖² in columns scaled to one size, their mean squares: (rows,), where the blocks are, out of one read of X."""
        scale = np.divide(1, columns, out=np.zeros_like(columns), where=columns > 0)
        return self.joined([self.backend.row_squares(block, scale) for block in self.blocks])

    def batches(self, size=None):
        """Into how many batches the rows are cut; None takes 500 of them, or fewer of 32 rows, or more of 65,536."""
        m = self.dataset.n_rows
        return max(1, round(m / (size or min(max(m // 500, 32), 65536))))

    def batch(self, numbers, of):
        """The objective on the rows of some of the batches, which are views, with sums scaled to estimate those of all rows."""
        batch = copy.copy(self)
        batch.blocks = [part for block in self.blocks for number in numbers for part in self.backend.batch(block, number, of)]
        batch.share = sum(part.X.shape[0] for part in batch.blocks) / self.dataset.n_rows
        batch.weight_sum = self.weight_sum * batch.share
        return batch

    def factor(self, w):
        """A function v -> (∇²F(w))⁻¹·v."""
        H, k = self._hessian(w), self.loss.n_outputs
        if k > 1:  # margins of all classes may be shifted together: gradients are zero along that, and steps shall be, too
            H4 = H.reshape(-1, k, self.size // k, k)
            for j in range(0 if self.penalty.l2 == 0 else self.dataset.n_features, self.size // k):
                H4[j, :, j, :] += H4[j, :, j, :].trace() / k**2
        return self.backend.factor(H, float(np.finfo(self.dtype).eps))

    def l1(self):
        """l1 of every parameter, (size,): 0 for intercepts."""
        return self.penalty.l1 * self.penalised(np.ones(self.size))

    def preconditioner(self, w):
        """A function v -> P⁻¹v: the Hessian without its blocks between classes, the classes' own replaced by their mean.

        One factor of n_features + 1 instead of K times as many; for one output it is `factor`.
        """
        k = self.loss.n_outputs
        W = self._columns(w)
        with np.errstate(invalid="ignore", over="ignore"):
            H = sum(self.backend.mean_hessian(block, W, self.loss) for block in self.blocks)
        self.check_sums(H.diagonal())
        H = H[: self.size // k, : self.size // k] / self.weight_sum
        i = self.backend.xp.arange(len(H))
        H[i, i] += self.backend.xp.asarray(self.ridge()[::k])
        solve = self.backend.factor(H, float(np.finfo(self.dtype).eps))
        return lambda v: solve(v.reshape(-1, k)).ravel()

    def suboptimality_bound(self, point):
        """A rigorous bound on (F − F*)/F, but for rounding; inf where there is none. See `logreg_accel.duality`."""
        return duality.suboptimality_bound(self, point)

    def in_row_space(self):
        """The same problem with as many weights as rows, and `lift` back from there. See `logreg_accel.row_space`."""
        return row_space.reduce(self)

    def separates(self, value):
        """Whether F = value at some point proves that a plane separates the classes while nothing bounds the weights.

        If Σ s·ℓ is below the least weight times log 2, every row's loss is below log 2, so every row is on its side.
        Then, without a penalty, F has no minimum: it falls towards 0 as w grows.
        """
        return self.penalty.l2 == self.penalty.l1 == 0 and value * self.dataset.weight_sum < self.dataset.least_weight * np.log(2)

    # -- the pieces ---------------------------------------------------------------------------------------------------

    def joined(self, parts):
        """What the blocks have a row each of, for all rows; None where there is none."""
        return None if parts[0] is None else parts[0] if len(parts) == 1 else self.backend.xp.concatenate(parts)

    def of_rows(self, name):
        """y or the weights of all rows on the host; None where there are none."""
        parts = [getattr(block, name) for block in self.dataset]
        return None if parts[0] is None else parts[0] if len(parts) == 1 else np.concatenate(parts)

    def take(self, rows, weights):
        """Blocks of some rows, ascending, with weights of their own."""
        taken, start = [], 0
        for block in self.blocks:
            stop = start + block.X.shape[0]
            mine = slice(*np.searchsorted(rows, [start, stop]))
            if mine.stop > mine.start:
                taken.append(self.backend.take(block, rows[mine] - start, weights[mine]))
            start = stop
        return taken

    def _weighted(self, rows, weights):
        """Weights of a draw times those of the rows drawn, on the host."""
        s = self.joined([block.sample_weight for block in self.blocks])
        return weights if s is None else weights * self.backend.to_host(s[self.backend.xp.asarray(rows)])

    def _hessian(self, w):
        W = self._columns(w)
        with np.errstate(invalid="ignore", over="ignore"):
            H = sum(self.backend.hessian(block, W, self.loss) for block in self.blocks)
        self.check_sums(H.diagonal())
        H = H[: self.size, : self.size] / self.weight_sum
        xp = self.backend.xp
        H[xp.arange(self.size), xp.arange(self.size)] += xp.asarray(self.ridge())
        return H

    def _mean(self, total):
        self.check_sums(total)
        return self._flat(total) / self.weight_sum

    def _columns(self, w):
        """w as the passes take it: (n_features + 1, k), the intercept last, 0 without one."""
        w, k = np.asarray(w, dtype=np.float64), self.loss.n_outputs
        if w.shape != (self.size,):
            parts = "n_features weights and the intercept" if self.fit_intercept else "n_features weights"
            raise ValueError(f"`w` has shape {w.shape}; expected ({self.size},): {parts}{', for each class' if k > 1 else ''}.")
        W = np.zeros((self.dataset.n_features + 1, k))
        W[: self.size // k] = w.reshape(-1, k)
        return W

    def _flat(self, W):
        """`_columns` undone."""
        return W[: self.size // self.loss.n_outputs].ravel()

    def penalised(self, w):
        """w with the intercept, which bears no penalty, set to zero."""
        w = np.array(w, dtype=np.float64)
        if self.fit_intercept:
            w[-self.loss.n_outputs :] = 0
        return w

    def ridge(self):
        """What the penalty adds to the diagonal of the Hessian."""
        return self.penalty.l2 * self.penalised(np.ones(self.size))

    def check_sums(self, sums):
        """Sums of squares of finite X overflow before sums of X do."""
        if not bool(np.isfinite(sums).all()):
            self._refuse_nonfinite(np.zeros(1))

    def _refuse_nonfinite(self, w):
        start = 0
        for block in self.dataset:  # all rows, also where this is a sample
            found = first_nonfinite(block.X)
            if found is not None:
                row, column, value = found
                raise ValueError(
                    f"Input `X` contains {value}: first at row {start + row}, column {column}. NaN and inf cannot be "
                    "fitted; drop those rows or impute them (sklearn.impute)."
                )
            start += block.X.shape[0]
        if not w.any():
            raise ValueError(
                f"Sums over `X` overflow {self.dtype}: its values are too large. Scale the columns "
                "(sklearn.preprocessing.StandardScaler)" + (" or pass float64." if self.dtype == np.float32 else ".")
            )
