"""Conjugate gradients, and what their directions tell the next solve."""

import math

import numpy as np

from .questions import HessianVector

LITTLE, ENOUGH = "little", "enough"
"""Why conjugate gradients ended sooner."""

_DIRECTIONS = 20  # as many as save most products; with more, older ones that no longer fit add products
_FEWEST = 5  # fewer hardly save any
_NUMBERS = 1 << 18  # in the directions that are kept, so that they stay in the cache
_SHARE = 1 / 8  # of the time of a product with X that the kept directions may take


class Past:
    """The directions of earlier solves, by which the next one is preconditioned.

    For vectors pᵢ that are conjugate with respect to H, scaled to pᵢᵀH·pᵢ = 1, as the rows of P, and the
    products H·pᵢ as those of Y, the BFGS update of a metric M is PᵀP + (I − PᵀY)·M·(I − YᵀP). It is exact
    in the space of the pᵢ as long as H is the same, and H changes little near the optimum, where solves take
    most products. Solves are applied one after the other, the latest one last.

    M is scaled first, as that of L-BFGS is: yᵀM·y = 1 for the latest y. A diagonal that overlooks how columns
    are correlated, or that of another point, differs from H by a factor. Conjugate gradients alone need no
    such factor, but beside directions that are exact the others would lie far apart. Without a penalty it is
    left as it is: along directions that separate rows, the Hessian falls from step to step.

    References
    ----------
    Morales and Nocedal (2000), Automatic preconditioning by limited memory quasi-Newton updating, SIAM J.
    Optim. 10.
    """

    def __init__(self, start):
        most = min(_most(len(start.w)), int(_SHARE * start.entries / max(start.n_features, 1)))
        self.most = most if most >= _FEWEST else 0
        self.fresh, self.count, self.solves = None, 0, []
        self.scaled = bool(np.any(start.ridge))

    @staticmethod
    def vectors(size):
        """The number of vectors that may be kept: those of earlier solves, and those of the present one."""
        return 4 * _most(size)

    def note(self, p, Hp, curvature):
        """Keep a direction of the present solve, its product with H, and pᵀH·p."""
        if self.count < self.most:
            self.fresh = np.empty((2, self.most, len(p))) if self.fresh is None else self.fresh
            self.fresh[:, self.count] = np.array([p, Hp]) / math.sqrt(curvature)
            self.count += 1

    def corrected(self, precondition, renewed):
        """Return the preconditioner of the next solve. One that was renewed knows more than old solves."""
        if self.count:
            older, left = ([] if renewed else self.solves), self.most - self.count
            self.solves = [self.fresh[:, : self.count]]
            for solve in older:
                if left > 0:
                    self.solves.append(solve[:, :left].copy())
                    left -= solve.shape[1]
            self.fresh, self.count = None, 0
        if not self.solves:
            return precondition
        return _by_solves(
            self.solves, precondition, _scale(self.solves, precondition) if self.scaled else 1.0
        )


def _most(size):
    return min(_DIRECTIONS, _NUMBERS // size)


def _scale(solves, precondition):
    """The factor with which `precondition` agrees with H for the latest direction."""
    product = solves[0][1][-1]
    scale = 1 / float(product @ precondition(product))
    return scale if 0 < scale < math.inf else 1.0


def _by_solves(solves, precondition, scale):
    """The function r -> the preconditioned r, with solves from the latest to the first."""

    def apply(r):
        shares = []
        for P, Y in solves:
            shares.append(P @ r)
            r = r - shares[-1] @ Y
        z = scale * precondition(r)
        for (P, Y), share in zip(reversed(solves), reversed(shares), strict=True):
            z = z + (share - Y @ z) @ P
        return z

    return apply


def conjugate_gradients(
    here, precondition, forcing, most, on=None, margins=None, gain=0.0, proven=None, note=None
):
    """Compute d ≈ −H⁻¹g, to a relative residual of `forcing` in the preconditioned norm.

    It ends earlier if a product lowers the model of F by no more than `gain`, or if a bound is small enough:
    `proven` is a function of the residual, which is the next gradient, and of the preconditioned residual,
    and a number. `margins` are those of `here` if they belong to the same rows as `on`, else None. `note` is
    called with every direction, its product with H and the curvature along it. Returns d, the number of
    products with H that it took, and why it ended sooner if it did.
    """
    d = np.zeros_like(here.w)
    r = -here.gradient
    z = precondition(r)
    p, rz = z, r @ z
    small, products = forcing**2 * rz, 0
    bound, enough = proven or (None, -math.inf)
    while small < rz < np.inf and products < most:
        Hp = yield HessianVector(here.w, p, on, margins)
        products += 1
        curvature = p @ Hp
        # F is convex: only rounding makes this negative. With Python floats an overflow gives no warning.
        alpha = float(rz) / float(curvature) if curvature > 0 else np.inf
        if not alpha < np.inf:
            break
        d += alpha * p
        if note is not None:
            note(p, Hp, curvature)
        gained = 0.5 * alpha * rz
        r -= alpha * Hp
        z = precondition(r)
        rz, previous = r @ z, rz
        if 0.5 * rz <= enough and bound(r, z) <= enough:  # the first is below the second
            return d, products, ENOUGH
        if gained <= gain:
            return d, products, LITTLE
        p *= rz / previous
        p += z
    return d, products, None
