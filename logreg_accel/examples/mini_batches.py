"""Mini-batches: how far epochs of stochastic gradient descent get, beside Newton's method on all rows."""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.exceptions import ConvergenceWarning

from logreg_accel import LogisticRegression, solvers

rng = np.random.default_rng(0)
X = rng.standard_normal((8_000, 20))
y = X @ rng.standard_normal(20) + rng.logistic(size=len(X)) > 0

optimum = LogisticRegression(tol=1e-12).fit(X, y)
best = optimum.history_[-1].value
figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
gaps = {}
for size in (32, 256, 2048):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # ten epochs are not meant to reach the optimum
        model = LogisticRegression(solver=solvers.sgd(batch_size=size), max_iter=10).fit(X, y)
    gaps[size] = [max(record.value / best - 1, 1e-16) for record in model.history_]
    ax.plot([record.n_passes for record in model.history_], gaps[size], "o-", label=f"batches of {size} rows")
    print(
        f"batches of {size:4} rows: {gaps[size][-1]:.1e} above the optimum after {model.n_passes_:.0f} reads"
    )

newton = [max(record.value / best - 1, 1e-16) for record in optimum.history_]
ax.plot(
    [record.n_passes for record in optimum.history_], newton, "s-", color="black", label="Newton, all rows"
)
print(f"Newton's method is there after {optimum.n_passes_:.0f} reads")
ax.set(yscale="log", xlabel="reads of X", ylabel="(F − F*) / F*")
ax.legend()
figure.savefig("mini_batches.svg")
