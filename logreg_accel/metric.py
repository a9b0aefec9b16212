"""The sums of a Hessian pass as what scales a step: the matrix ∇²F, or its inverse applied to a vector."""

import numpy as np


def hessian(objective, sums, ridge):
    """∇²F (size, size), made of the sums in place; ridge is what the penalty adds to the diagonal."""
    size, backend = objective.size, objective.rows.backend
    host = isinstance(sums, np.ndarray)  # small ones come to the host with their pass
    xp = np if host else backend.xp
    H = xp.ascontiguousarray(sums[:size, :size])
    H /= objective.weight_sum
    H.reshape(-1)[:: size + 1] += xp.asarray(ridge)
    return H


def solve(objective, H):
    """A function v -> (∇²F)⁻¹·v; H is changed."""
    k, size = objective.loss.n_outputs, objective.size
    if k > 1:
        n, l2 = objective.rows.n_features, objective.penalty.l2
        free = range(n, size // k)
        if np.ndim(l2) or l2 == 0:
            free = [*np.flatnonzero(np.broadcast_to(l2 == 0, size)[: k * n : k]), *free]
        against_shifts(H, k, free)
    return objective.rows.backend.factor(H, _rounding(objective))


def against_shifts(H, k, free):
    """Give H curvature, in place, where the weights of all k classes may be shifted together.

    Gradients are zero along that, and so steps become. `free` has the features without a penalty.
    """
    H4 = H.reshape(-1, k, len(H) // k, k)
    for j in free:
        H4[j, :, j, :] += H4[j, :, j, :].trace() / k**2


def class_mean_solve(objective, sums, ridge):
    """A function v -> P⁻¹·v, where P has one block for all classes, the mean of their own."""
    k, backend = objective.loss.n_outputs, objective.rows.backend
    size = objective.size // k
    P = sums[:size, :size]
    P /= objective.weight_sum
    i = backend.xp.arange(size)
    P[i, i] += backend.xp.asarray(ridge[::k])
    solve_one = backend.factor(P, _rounding(objective))
    return lambda v: solve_one(v.reshape(-1, k)).ravel()


def _rounding(objective):
    return float(np.finfo(objective.rows.dtype).eps)
