"""The blocks of a Hessian of several classes as a metric."""

import numpy as np

_LEAST_PRODUCTS = 10  # products after which any metric is made anew, however cheap it is


def renewed_after(start):
    """Return the number of products of conjugate gradients that the mean of the blocks should serve.

    That is about as many as cost as much as the mean: a block takes n² + n³/3m operations a row, a product
    4·n·K. In between, steps keep the metric of an earlier point. Far from the optimum they take few products,
    and one made for each of them would be most of the work.
    """
    n = start.n_features
    return max(_LEAST_PRODUCTS, n * (1 + n / (3 * max(start.n_rows, 1))) / (4 * start.n_outputs))


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
