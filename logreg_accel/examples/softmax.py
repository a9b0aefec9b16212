"""Softmax: three classes at once, and where each is the likeliest."""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_iris

from logreg_accel import LogisticRegression

data = load_iris()
X, y = data.data[:, 2:], data.target
clf = LogisticRegression(C=10.0).fit(X, y)
probability = clf.predict_proba(X)
margins = clf.decision_function(X)
by_hand = np.exp(margins) / np.exp(margins).sum(axis=1, keepdims=True)
print(f"accuracy {clf.score(X, y):.3f}; softmax of the margins and predict_proba differ by "
      f"{abs(by_hand - probability).max():.0e}")  # fmt: skip

figure, ax = plt.subplots(figsize=(5.5, 4.5), layout="constrained")
length, width = np.meshgrid(np.linspace(0.5, 7.5, 400), np.linspace(0, 3, 400))
likeliest = clf.predict(np.stack([length.ravel(), width.ravel()], axis=1)).reshape(length.shape)
ax.contourf(length, width, likeliest, levels=[-0.5, 0.5, 1.5, 2.5], colors=["C0", "C1", "C2"], alpha=0.25)
for k, name in enumerate(data.target_names):
    ax.scatter(*X[y == k].T, s=22, color=f"C{k}", label=name)
ax.set(xlabel="petal length, cm", ylabel="petal width, cm")
ax.legend()
figure.savefig("softmax.svg")
