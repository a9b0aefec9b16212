"""A folder of Parquet files, read block by block with less memory than the rows need."""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from logreg_accel import LogisticRegression, scan
from logreg_accel.report import ConvergenceDisplay

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
except ImportError:
    raise SystemExit("This example needs pyarrow: pip install 'logreg-accel[arrow]'") from None

rng = np.random.default_rng(0)
truth = rng.standard_normal(20)
with tempfile.TemporaryDirectory() as folder:
    for part in range(4):  # 160 MB of numbers; each file holds a quarter of them
        X = rng.standard_normal((250_000, 20))
        y = X @ truth + rng.logistic(size=len(X)) > 0
        table = pa.table({**{f"x{j}": X[:, j] for j in range(20)}, "y": y})
        # A reader holds parts of all columns of a row group at a time, so that small groups take less memory.
        pq.write_table(table, Path(folder) / f"part-{part}.parquet", row_group_size=50_000)
    source = scan(f"{folder}/part-*.parquet", target="y", memory="128MB")
    clf = LogisticRegression().fit(source)
print(f"{clf.status_} after {clf.n_passes_:.1f} reads; (F − F*)/F is at most {clf.suboptimality_bound_:.0e}")
print(f"the largest error of a coefficient is {abs(clf.coef_[0] - truth).max():.3f}")

figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ConvergenceDisplay.from_estimator(clf, ax=ax)
figure.savefig("larger_than_memory.svg")
