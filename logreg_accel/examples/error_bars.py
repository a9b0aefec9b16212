"""A table with error bars: coefficients, robust intervals, odds ratios, marginal effects."""

import matplotlib.pyplot as plt
import numpy as np

from logreg_accel import LogisticRegression, inference
from logreg_accel.report import ForestDisplay

try:
    import pyarrow as pa
except ImportError:
    raise SystemExit("This example needs pyarrow: pip install 'logreg-accel[arrow]'") from None

rng = np.random.default_rng(0)
m = 5000
X = pa.table(
    {
        "age": rng.normal(45, 12, m),
        "income": rng.lognormal(3.4, 0.5, m),
        "visits": rng.poisson(3, m),
        "distance": rng.exponential(8, m),
        "noise": rng.normal(size=m),
    }
)
truth = np.array([0.03, 0.02, 0.25, -0.08, 0.0])
y = np.column_stack(X.columns) @ truth - 2.2 + rng.logistic(size=m) > 0

clf = LogisticRegression(C=np.inf).fit(X, y)
result = inference(clf, X, y, vcov="HC1")
print(result.summary())
print(result.odds_ratios())
print(result.get_margeff())

figure, ax = plt.subplots(figsize=(6, 3), layout="constrained")
ForestDisplay.from_estimator(clf, result, ax=ax)
figure.savefig("error_bars.svg")
