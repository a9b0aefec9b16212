"""A script that uses scikit-learn, as it is and accelerated."""

import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt

SCRIPT = """
import time, warnings
import numpy as np
from sklearn.linear_model import LogisticRegression
warnings.simplefilter("ignore")
rng = np.random.default_rng(0)
X = rng.standard_normal((30_000, 20)) * np.logspace(0, 2, 20)
y = X @ (rng.standard_normal(20) / np.logspace(0, 2, 20)) + rng.logistic(size=len(X)) > 0
LogisticRegression(C=0.5).fit(X[:100], y[:100])
began = time.perf_counter()
clf = LogisticRegression(C=0.5).fit(X, y)
print(time.perf_counter() - began, clf.score(X, y))
"""

seconds = {}
with tempfile.TemporaryDirectory() as folder:
    script = Path(folder) / "script.py"
    script.write_text(SCRIPT)
    for name, command in {"as it is": [], "accelerated": ["-m", "logreg_accel.accelerate"]}.items():
        done = subprocess.run(
            [sys.executable, *command, str(script)], capture_output=True, text=True, check=True
        )
        seconds[name], score = map(float, done.stdout.split())
        print(f"{name}: {seconds[name]:.2f} s, accuracy {score:.4f}")

figure, ax = plt.subplots(figsize=(6, 2), layout="constrained")
ax.bar_label(ax.barh(list(seconds), list(seconds.values())), fmt="%.2f s", padding=3)
ax.margins(x=0.2)
ax.set_xlabel("seconds of the fit")
figure.savefig("accelerated.svg")
