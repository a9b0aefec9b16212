"""The passes of inference and their generic bodies, for standard errors and marginal effects.

In addition to those of `passes`, there are::

    Moments          Σ s·ℓ, its gradient and Hessian, and Σ (s·r)ₐ·(s·r)_b·xxᵀ, the meat of a sandwich
    JeffreysScore    Σ h·(½ − P(y = 1))·x, with h = s·P(y = 1)·P(y = 0)·‖Aᵀx‖² the leverage of a row
    GroupScores      Σ s·r·x over the rows of every group
    Effects          sums of products of probabilities times x, and of changes of probabilities
    ColumnMoments    Σ s·x and Σ s·x² of every column
    ZeroOne          which columns contain only zeros and ones
    Intercepts       Σ s·ℓ and its derivatives where margins are an offset plus an intercept; no read
    ClassTotals      weights and numbers of rows of each class, or group; no read
"""

from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Any, NamedTuple

import numpy as np

from ..data.columns import add_by_group, mixed
from . import grams
from .generic import _cast, margins_at, pointwise, tiles
from .passes import Hessian, Pass


class Totals(NamedTuple):
    """The result of a Moments pass, float64 on the host; matrices are in the order of W.ravel()."""

    value: Any
    gradient: Any
    information: Any
    meat: Any = None


def _added(parts):
    """The sums over all parts of a NamedTuple of sums."""
    return type(parts[0])(*(None if each[0] is None else sum(each) for each in zip(*parts, strict=True)))


@dataclass(frozen=True, eq=False)
class Moments(Hessian):
    """-> Totals, with `meat` also the sums of the outer products of the rows' scores."""

    combine = staticmethod(_added)
    meat: bool = False


@dataclass(frozen=True, eq=False)
class JeffreysScore(Pass):
    """-> (n + 1,), float64 on the host: the gradient of ½·log|H| for two classes, where AAᵀ (n + 1, n + 1)
    is the inverse of H."""

    W: Any
    A: Any
    loss: Any
    models: tuple | None = None


@dataclass(frozen=True, eq=False)
class GroupScores(Pass):
    """-> (groups, n + 1, k), float64 on the host; `groups` are codes, a row vector."""

    vectors = ("groups",)
    W: Any
    loss: Any
    groups: Any
    n_groups: int
    models: tuple | None = None

    @property
    def nbytes(self):
        """Bytes of the result."""
        return 8 * self.n_groups * self.W.size


class EffectSums(NamedTuple):
    """The result of an Effects pass, float64 on the host, for K classes.

    Attributes
    ----------
    products : ndarray (n + 1, columns)
        Σ s·[x, 1]·(products of one, two and three probabilities), in the order of `products_of(K)`.
    changes : ndarray (switched, K)
        Σ s·(P(y = k | column 1) − P(y = k | column 0)).
    slopes : ndarray (switched, n + 1, K, K)
        The derivatives of `changes` by the weights of each class.
    """

    products: Any
    changes: Any
    slopes: Any


@dataclass(frozen=True, eq=False)
class Effects(Pass):
    """-> EffectSums; `switched` are the columns that go from 0 to 1."""

    combine = staticmethod(_added)
    W: Any
    loss: Any
    switched: tuple = ()
    models: tuple | None = None


@dataclass(frozen=True, eq=False)
class ColumnMoments(Pass):
    """-> Σ s·x and Σ s·x² of every column, float64 (2, n) on the host."""


@dataclass(frozen=True, eq=False)
class ZeroOne(Pass):
    """-> how many numbers of each column are neither 0 nor 1, and how many are 1, (2, n) on the host."""


@dataclass(frozen=True, eq=False)
class Intercepts(Pass):
    """-> Totals of a model with intercepts b (k,) alone, in addition to the rows' offset."""

    combine = staticmethod(_added)
    reads = 0
    b: Any
    loss: Any
    models: tuple | None = None


@dataclass(frozen=True, eq=False)
class ClassTotals(Pass):
    """-> Σ s of the rows of each class, and how many of them have a positive weight, (2, classes) on the
    host. `codes`, a row vector, replaces the codes in y."""

    vectors = ("codes",)
    reads = 0
    n_classes: int
    codes: Any = None


def products_of(n_classes):
    """The classes whose probabilities are multiplied, for every column of `EffectSums.products`."""
    return [c for r in (1, 2, 3) for c in combinations_with_replacement(range(n_classes), r)]


# -- the bodies ----------------------------------------------------------------------------------------------


def moments(backend, pass_, block):
    """Totals from one sweep."""
    xp, W = backend.xp, _cast(backend, pass_.W, block)
    n, k = W.shape[0] - 1, W.shape[1]
    value, G = xp.zeros(1), xp.zeros(W.shape)
    H = xp.zeros((n + 1, k, n + 1, k))
    M = xp.zeros((n + 1, k, n + 1, k)) if pass_.meat else None
    for _, X, part in tiles(backend, block, of_hessian=True):
        Z = margins_at(X, W, part)
        s = None if part.sample_weight is None else part.sample_weight[:, None]
        R, tile_value = pointwise(backend, "residual", pass_, part, Z)
        value = value + tile_value
        G[:-1] += X.transposed_product(R)
        G[-1] += R.sum(axis=0, dtype=np.float64)
        for a, b, weighted in backend.curvature_blocks(pass_.loss, Z, part.y, s):
            grams.add(backend, H[:, a, :, b], X, weighted, a == b)
            if pass_.meat:
                grams.add(backend, M[:, a, :, b], X, R[:, a : a + 1] * R[:, b : b + 1], a == b)
    to_host = backend.to_host
    return Totals(
        to_host(value), to_host(G), _mirrored(to_host(H)), None if M is None else _mirrored(to_host(M))
    )


def _mirrored(H):
    """Fill in the blocks that follow by symmetry, and return H (n + 1, k, n + 1, k) as a matrix."""
    n, k = H.shape[0] - 1, H.shape[1]
    for a in range(k):
        for b in range(a, k):
            H[n, a, :n, b] = H[:n, a, n, b]
            H[:, b, :, a] = H[:, a, :, b].T
    return H.reshape((n + 1) * k, (n + 1) * k)


def jeffreys_score(backend, pass_, block):
    """The gradient of Jeffreys' penalty, with the leverages of a tile's rows by one product."""
    W, A = _cast(backend, pass_.W, block), _cast(backend, pass_.A, block)
    G = backend.xp.zeros(W.shape[0])
    for _, X, part in tiles(backend, block):
        Z = margins_at(X, W, part)
        positive = pass_.loss.probabilities(Z)[:, 1:]
        curvature, _ = pointwise(backend, "curvature", pass_, part, Z)
        along = X @ A[:-1] + A[-1]
        R = backend.xp.einsum("ij,ij->i", along, along)[:, None] * curvature * (0.5 - positive)
        G[:-1] += X.transposed_product(R)[:, 0]
        G[-1] += R.sum()
    return backend.to_host(G)


def group_scores(backend, pass_, block):
    """Sums of scores, group by group."""
    W = _cast(backend, pass_.W, block)
    sums = backend.xp.zeros((pass_.n_groups, *W.shape))
    for rows, X, part in tiles(backend, block):
        R, _ = pointwise(backend, "residual", pass_, part, margins_at(X, W, part))
        add_by_group(X, pass_.groups[rows], R, sums)
    return backend.to_host(sums)


def effects(backend, pass_, block):
    """EffectSums from one sweep."""
    xp, loss, W = backend.xp, pass_.loss, _cast(backend, pass_.W, block)
    n, D = block.X.shape[1], len(pass_.switched)
    K = W.shape[1] if W.shape[1] > 1 else 2
    combinations, centre = products_of(K), block.X.centre
    products, changes = xp.zeros((n + 1, len(combinations))), xp.zeros((D, K))
    slopes = xp.zeros((D, n + 1, K, K))
    picked = np.zeros((n, D))
    picked[list(pass_.switched), np.arange(D)] = 1
    picked = _cast(backend, picked, block)
    for _, X, part in tiles(backend, block):
        Z = margins_at(X, W, part)
        s = 1 if part.sample_weight is None else part.sample_weight[:, None]
        P = loss.probabilities(Z)
        R = s * xp.stack([P[:, list(c)].prod(axis=1) for c in combinations], axis=1)
        _add_products(products, X, R)
        there = X @ picked if D else None
        for d, j in enumerate(pass_.switched):
            at = there[:, d : d + 1] if centre is None else there[:, d : d + 1] + centre[j]
            off = Z - at * W[j]
            P0, P1 = loss.probabilities(off), loss.probabilities(off + W[j])
            changes[d] += (s * (P1 - P0)).sum(axis=0)
            J0, J1 = (s * _jacobian(xp, P).reshape(-1, K * K) for P in (P0, P1))
            here = xp.zeros((n + 1, K * K))
            _add_products(here, X, J1 - J0)
            c = 0 if centre is None else centre[j]
            here[j] = J1.sum(axis=0) * (1 - c) + J0.sum(axis=0) * c
            slopes[d] += here.reshape(n + 1, K, K)
    return EffectSums(*(backend.to_host(a) for a in (products, changes, slopes)))


def _jacobian(xp, P):
    """∂Pₖ/∂z_l of every row: diag(P) − PPᵀ, (rows, K, K)."""
    J = -P[:, :, None] * P[:, None, :]
    k = xp.arange(P.shape[1])
    J[:, k, k] += P
    return J


def _add_products(out, X, R):
    out[:-1] += X.transposed_product(R)
    out[-1] += R.sum(axis=0)


def column_moments(backend, pass_, block):
    """Weighted sums of the columns and of their squares."""
    sums = backend.xp.zeros((2, block.X.shape[1]))
    for _, X, part in tiles(backend, block):
        s = part.sample_weight
        s = backend.xp.ones(X.shape[0], dtype=X.dtype) if s is None else s
        sums[0] += X.transposed_product(s[:, None])[:, 0]
        sums[1] += X.squared().transposed_product(s[:, None])[:, 0]
    return backend.to_host(sums)


def zero_one(backend, pass_, block):
    """How many numbers of each column, as stored, are neither 0 nor 1, and how many are 1."""
    counts = np.zeros((2, block.X.shape[1]))
    step = max(backend.tile_bytes // block.X.row_bytes, 1)
    for start in range(0, block.X.shape[0], step):
        others, ones = mixed(block.X.between(start, min(start + step, block.X.shape[0])))
        counts += [backend.to_host(others), backend.to_host(ones)]
    return counts


def intercepts(backend, pass_, block):
    """Totals at offset + b."""
    k = len(pass_.b)
    Z, H = block.offset + backend.xp.asarray(pass_.b), np.zeros((k, k))
    R, value = pointwise(backend, "residual", pass_, block, Z)
    s = 1 if block.sample_weight is None else block.sample_weight[:, None]
    for a, b, curvature in pass_.loss.curvature_blocks(Z, block.y):
        H[a, b] = H[b, a] = float((s * curvature).sum())
    return Totals(float(value[0]), backend.to_host(R.sum(axis=0)), H)


def class_totals(backend, pass_, block):
    """Weights and rows of each class."""
    s = np.ones_like(block.y, dtype=np.float64) if block.sample_weight is None else block.sample_weight
    codes = block.y if pass_.codes is None else pass_.codes
    totals = [np.bincount(codes, v.astype(np.float64), minlength=pass_.n_classes) for v in (s, s > 0)]
    return np.array([backend.to_host(total) for total in totals])


BODIES = {
    Moments: moments,
    JeffreysScore: jeffreys_score,
    GroupScores: group_scores,
    Effects: effects,
    ColumnMoments: column_moments,
    ZeroOne: zero_one,
    Intercepts: intercepts,
    ClassTotals: class_totals,
}
