"""The library under an optimiser of your own: SciPy asks, one read of X answers."""

import matplotlib.pyplot as plt
import numpy as np
import scipy.optimize
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import scale

from logreg_accel import LogisticRegression, Objective

X, y = load_breast_cancer(return_X_y=True)
X = scale(X)
objective = Objective.from_arrays(X, y, C=1.0)
best = LogisticRegression(tol=1e-12).fit(X, y).history_[-1].value

figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for method in ("L-BFGS-B", "CG", "Newton-CG"):
    values = []

    def asked(w, values=values):
        value, gradient = objective.value_and_gradient(w)
        values.append(value)
        return value, gradient

    more = {"hessp": objective.hessian_vector} if method == "Newton-CG" else {}
    result = scipy.optimize.minimize(
        asked, np.zeros(objective.size), jac=True, method=method, options={"maxiter": 200}, **more
    )
    print(f"{method:10} {len(values):4} evaluations, {result.fun / best - 1:.1e} above the optimum")
    ax.plot(np.maximum(np.array(values) / best - 1, 1e-16), label=method)
ax.set(yscale="log", xlabel="evaluations", ylabel="(F − F*) / F*")
ax.legend()
figure.savefig("own_optimiser.svg")
