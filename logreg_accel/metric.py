"""The metric of a step, from the sums of a Hessian pass: the matrix ∇²F, or its inverse applied to a
vector."""

import numpy as np

from .backends.passes import CurvatureMass, HessianVector


def hessian(objective, sums, ridge):
    """∇²F (size, size), computed in place from the sums; ridge is the penalty's part of the diagonal."""
    return _mean_matrix(objective, sums, objective.size, ridge)


def curvatures(objective, margins):
    """The curvatures of the rows at some margins, kept for all products with a Hessian there; None where
    products compute them on their way."""
    rows, loss = objective.rows, objective.loss
    X = None if margins is None or objective.models is not None else rows.columns_in_memory()
    if X is None or loss.n_outputs > 1 or rows.backend.has_kernel(HessianVector, loss, X):
        return None
    if margins.curvatures is None:
        margins.curvatures = rows.sweep(CurvatureMass(margins, loss))
    return margins.curvatures


def diagonals(objective, sums):
    """The diagonals of sums (..., p, p), on the host."""
    here = isinstance(sums, np.ndarray)
    return sums.diagonal(axis1=-2, axis2=-1) if here else objective.rows.backend.diagonals(sums)


def _mean_matrix(objective, sums, size, ridge):
    if not isinstance(sums, np.ndarray):  # a large matrix stays on its device
        return objective.rows.backend.mean_matrix(sums, size, objective.weight_sum, ridge)
    H = np.ascontiguousarray(sums[:size, :size])
    H /= objective.weight_sum
    H.reshape(-1)[:: size + 1] += ridge
    return H


def solve(objective, H):
    """A function v -> (∇²F)⁻¹·v; H is changed."""
    k, size, backend = objective.loss.n_outputs, objective.size, objective.rows.backend
    if k > 1:
        n, l2 = objective.rows.n_features, objective.penalty.l2
        free = range(n, size // k)
        if np.ndim(l2) or l2 == 0:
            free = [*np.flatnonzero(np.broadcast_to(l2 == 0, size)[: k * n : k]), *free]
        (against_shifts if isinstance(H, np.ndarray) else backend.against_shifts)(H, k, free)
    return backend.factor(H, rounding(objective))


def against_shifts(H, k, free):
    """Add curvature to H, in place, along shifts of the weights of all k classes of a feature together.

    Without a penalty H has none there. Gradients are zero along such shifts, so that steps are zero, too.
    `free` lists the features without a penalty.
    """
    H4 = H.reshape(-1, k, len(H) // k, k)
    for j in free:
        H4[j, :, j, :] += H4[j, :, j, :].trace() / k**2


def without_shifts(v, k, features=slice(None)):
    """A copy of a flat v minus the mean over the k classes in some features.

    The residuals of a row sum to zero over its classes, so that a gradient of the loss has no such part
    except by rounding.
    """
    V = np.array(v, dtype=np.float64).reshape(-1, k)
    V[features] -= V[features].mean(axis=1, keepdims=True)
    return V.ravel()


def solve_by_class(objective, sums, ridge):
    """A function v -> P⁻¹·v, where P has a block for each class, or one for all, the mean of their own."""
    k, backend = objective.loss.n_outputs, objective.rows.backend
    size = objective.size // k

    def factor(P):
        return backend.factor(_mean_matrix(objective, P, size, ridge[::k]), rounding(objective))

    if sums.ndim == 2:
        solve_one = factor(sums)
        return lambda v: solve_one(v.reshape(-1, k)).ravel()
    solves = [factor(block) for block in sums]
    return lambda v: np.stack([f(v[a::k]) for a, f in enumerate(solves)], axis=1).ravel()


def rounding(objective):
    """The relative rounding of the arithmetic of the passes."""
    return float(np.finfo(objective.rows.dtype).eps)
