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
    mean = np.full((k, 1), 1 / k)  # as a matrix, since sums of few numbers take longer
    ridge = ridge.reshape(-1, k)[:, :1]
    ridge = np.where(ridge > 0, ridge, np.inf)

    def solve_apart(r):
        R = r.reshape(-1, k)
        common = R @ mean
        Z = solve((R - common).ravel()).reshape(-1, k)
        return (Z + (common / ridge - Z @ mean)).ravel()

    return solve_apart
