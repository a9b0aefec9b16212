"""A Dask LocalCluster that loses a worker in the middle of a fit, and ends in the same bits."""

import tempfile

import matplotlib.pyplot as plt
import numpy as np

from logreg_accel import LogisticRegression, scan
from logreg_accel.report import ConvergenceDisplay

try:
    from distributed import Client, LocalCluster
except ImportError:
    raise SystemExit("This example needs Dask: pip install 'logreg-accel[dask]'") from None


def lose_one(record, w):
    """Close a worker after the second step: what it has read and computed is gone."""
    if record.n_iter == 2:
        worker = cluster.workers[0]
        cluster.sync(worker.close)
        left.append(len(client.scheduler_info(n_workers=-1)["workers"]))


rng, left = np.random.default_rng(0), []
truth = rng.standard_normal(10)
with tempfile.TemporaryDirectory() as folder:
    for part in range(8):  # several for each worker: those of one that is lost can be divided
        X = rng.standard_normal((5_000, 10))
        np.savez(f"{folder}/part-{part}.npz", X=X, y=X @ truth + rng.logistic(size=len(X)) > 0)
    files = {"data": f"{folder}/part-*.npz", "target": "y"}
    alone = LogisticRegression().fit(scan(**files))
    # Workers are threads here, which start at once; processes and other machines are lost in the same way.
    with (
        LocalCluster(n_workers=3, threads_per_worker=1, processes=False, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        clf = LogisticRegression(callback=lose_one).fit(scan(**files, client=client))
print(f"3 workers, then {left[0]}: {clf.status_} after {clf.n_passes_:.1f} reads")
print("the coefficients are those of one process, bit for bit:", np.array_equal(clf.coef_, alone.coef_))

figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ConvergenceDisplay.from_estimator(clf, ax=ax)
ax.axvline(clf.history_[2].n_passes, color="tab:red", linestyle=":", label="a worker is lost")
ax.legend()
figure.savefig("lost_worker.svg")
