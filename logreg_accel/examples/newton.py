"""Newton's method by hand: five steps to the optimum, each of which doubles the digits that are right."""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import scale

from logreg_accel import Objective

X, y = load_breast_cancer(return_X_y=True)
objective = Objective.from_arrays(scale(X[:, :10]), y, C=0.01)
w = np.zeros(objective.size)  # coefficients, then the intercept
norms = []
for step in range(6):
    value, gradient = objective.value_and_gradient(w)
    norms.append(np.linalg.norm(gradient))
    print(f"step {step}: F = {value:.12f}, ‖∇F‖ = {norms[-1]:.1e}")
    w = w - np.linalg.solve(objective.hessian(w), gradient)

figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.plot(norms, "o-")
ax.set(yscale="log", xlabel="steps", ylabel="‖∇F‖", title="Newton's method")
figure.savefig("newton.svg")
