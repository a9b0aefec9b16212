"""The blocks of a Hessian of several classes as a metric."""

import numpy as np


def beside_shifts(solve, ridge, k):
    """Return a function r -> P⁻¹·r, made of `solve` for k classes, that is exact along common shifts.

    Along a shift of the weights of all classes together the Hessian is the ridge alone. The blocks lack that,
    and conjugate gradients would take products to find it out.
    """
    ridge = ridge.reshape(-1, k)[:, :1]

    def solve_apart(r):
        R = r.reshape(-1, k)
        common = R.mean(axis=1, keepdims=True)
        Z = solve((R - common).ravel()).reshape(-1, k)
        shift = np.divide(common, ridge, out=np.zeros_like(common), where=ridge > 0)
        return (Z - Z.mean(axis=1, keepdims=True) + shift).ravel()

    return solve_apart
