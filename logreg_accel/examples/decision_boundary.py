"""The decision boundary: a line where the margin is zero, and the probability on both of its sides."""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_blobs
from sklearn.inspection import DecisionBoundaryDisplay

from logreg_accel import LogisticRegression

X, y = make_blobs(400, centers=[[-1, -1], [1.2, 1]], cluster_std=1.1, random_state=0)
clf = LogisticRegression().fit(X, y)
(a, b), c = clf.coef_[0], clf.intercept_[0]
print(f"boundary: {a:.3f}·x + {b:.3f}·y + {c:.3f} = 0; {clf.score(X, y):.1%} of the rows lie on their side")

figure, ax = plt.subplots(figsize=(5.5, 4.5), layout="constrained")
shown = DecisionBoundaryDisplay.from_estimator(
    clf, X, response_method="predict_proba", levels=np.linspace(0, 1, 11), cmap="coolwarm", alpha=0.6, ax=ax
)
ax.scatter(*X.T, c=y, cmap="coolwarm", edgecolor="white", s=22)
line = np.array(ax.get_xlim())
ax.plot(line, -(a * line + c) / b, color="black")
ax.set(xlabel="x", ylabel="y", ylim=(X[:, 1].min() - 1, X[:, 1].max() + 1))
figure.colorbar(shown.surface_, label="probability of the second class")
figure.savefig("decision_boundary.svg")
