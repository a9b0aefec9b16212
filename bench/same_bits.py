"""Do two versions of the package fit alike, bit for bit?

    git worktree add ../before COMMIT && python bench/same_bits.py ../before

fits some 60 problems (every solver, dtypes, layouts, sparse, softmax, L1) with the other checkout and with
this one, on the numpy and the numba backend, and compares the bits of the coefficients, the reads of X, the
status and the bound. `--tolerance 1e-9` asks for the same reads and for coefficients that agree so well,
relative to the largest.
"""

import argparse
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import scipy.sparse

ROOT = Path(__file__).parent.parent


def draw(m, n, dtype="float64", seed=0, classes=2):
    """X with columns of several sizes, labels with noise, weights with zeros."""
    rng = np.random.default_rng([seed, m, n])
    X = rng.standard_normal((m, n)) * np.logspace(0, 1, n)
    z = X / np.logspace(0, 1, n) @ rng.standard_normal((n, classes)) / np.sqrt(n) + 0.5 * rng.gumbel(
        size=(m, classes)
    )
    s = rng.random(m) * 3 * (rng.random(m) < 0.9)
    kind = np.dtype(dtype).kind
    X = X if kind == "f" else np.clip(np.round(10 * X), 0 if kind == "u" else -100, 100)
    return X.astype(dtype), z.argmax(axis=1), s


def sparse(m, n, dtype="float64", seed=0, classes=2, density=0.02):
    """As `draw`, most numbers zero."""
    X, y, s = draw(m, n, dtype, seed, classes)
    return (
        scipy.sparse.csr_array(X * (np.random.default_rng(seed).random(X.shape) < density).astype(dtype)),
        y,
        s,
    )


def problems():
    """name -> (X, y, s or None, parameters)."""
    smooth = ("gd", "lbfgs", "newton-cholesky", "newton-cg", "newton-subsampled", "sgd")
    for solver in smooth:
        budget = {"max_iter": 60} if solver in ("gd", "sgd") else {}
        for dtype in ("float64", "float32"):
            X, y, s = draw(6000, 12, dtype)
            yield f"{solver} {dtype}", X, y, None, {"solver": solver, "tol": 1e-7, **budget}
        yield (
            f"{solver} weighted, by columns",
            np.asfortranarray(X),
            y,
            s,
            {"solver": solver, "tol": 1e-6, "C": 0.1, **budget},
        )
        X, y, s = draw(3000, 6, classes=4)
        yield f"{solver} four classes", X, y, s, {"solver": solver, "tol": 1e-6, **budget}
        X, y, s = sparse(3000, 60)
        yield f"{solver} sparse", X, y, s, {"solver": solver, "tol": 1e-6, **budget}
    for solver in ("prox-newton", "fista"):
        for l1_ratio in (1.0, 0.5):
            X, y, s = draw(3000, 12)
            yield (
                f"{solver} {l1_ratio}",
                X,
                y,
                s,
                {"solver": solver, "l1_ratio": l1_ratio, "C": 0.05, "tol": 1e-6},
            )
        X, y, _ = sparse(3000, 60)
        yield f"{solver} sparse", X, y, None, {"solver": solver, "l1_ratio": 1.0, "tol": 1e-5}
        X, y, _ = draw(2000, 5, classes=3)
        yield f"{solver} three classes", X, y, None, {"solver": solver, "l1_ratio": 0.7, "tol": 1e-5}
    for dtype in ("float16", "uint8", "int16", "bool"):
        X, y, _ = draw(4000, 9, dtype)
        yield f"auto {dtype}", X, y, None, {"tol": 1e-5, "C": 0.01}
    X, y, s = draw(50, 700)
    yield "row-space", X, y, s, {"solver": "row-space"}
    yield "row-space sparse", scipy.sparse.csr_array(X * (abs(X) > 2)), y, None, {"solver": "row-space"}
    yield "wide lbfgs", *draw(300, 900)[:2], None, {}
    yield "newton-cg 400 columns", *draw(2000, 400)[:2], None, {"solver": "newton-cg"}
    X, y, s = draw(60_000, 40, "float32")
    yield "tall", X, y, None, {}
    yield "tall weighted", X, y, s, {"C": np.inf}
    yield "tall strided", np.hstack([X, X])[::2, 3:30], y[::2], None, {}
    X, y, s = draw(20_000, 130, "float32", classes=10)
    yield "ten classes above 1000 weights", X, y, None, {"solver": "newton-subsampled", "tol": 1e-5}
    yield (
        "ten classes by columns",
        np.asfortranarray(X[:5000]),
        y[:5000],
        s[:5000],
        {"solver": "lbfgs", "tol": 1e-4},
    )
    X, y, s = sparse(8000, 3000, "float32")
    yield "sparse newton-cg", X, y, None, {}
    yield "sparse ten classes", *sparse(4000, 800, classes=10)[:2], None, {"solver": "lbfgs", "tol": 1e-5}
    X, y, _ = draw(500, 5)
    yield "no intercept", X, y, None, {"fit_intercept": False}
    yield "separable", X, X[:, 0] > 0, None, {"C": np.inf}
    yield "balanced", X, np.arange(500) % 7 == 0, None, {"class_weight": "balanced", "C": 100.0}
    yield "a budget of reads", *draw(30_000, 40, "float32")[:2], None, {"max_passes": 3.5}


def fit_all():
    """One JSON object a fit, for the parent."""
    from logreg_accel import LogisticRegression

    warnings.simplefilter("ignore")
    for backend in ("numpy", "numba"):
        for name, X, y, s, parameters in problems():
            model = LogisticRegression(backend=backend, **parameters).fit(X, y, s)
            told = {
                "fit": f"{name}, {backend}",
                "coefficients": np.append(model.coef_, model.intercept_).astype(float).tolist(),
                "passes": model.n_passes_,
                "status": model.status_,
                "suboptimality": repr(model.suboptimality_),
                "bound": repr(model.suboptimality_bound_),
            }
            print(json.dumps(told), flush=True)


def fits_of(checkout):
    """What `fit_all` tells when a checkout's package does it."""
    env = {**os.environ, "PYTHONPATH": f"{checkout}{os.pathsep}{Path(__file__).parent}"}
    done = subprocess.run(
        [sys.executable, "-P", "-c", "import same_bits; same_bits.fit_all()"],
        env=env,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"{checkout}: {done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def differences(before, after, tolerance):
    """What differs between two fits, in words."""
    for name in ("status", "passes") if tolerance else ("status", "passes", "suboptimality", "bound"):
        if before[name] != after[name]:
            yield f"{name} {before[name]} -> {after[name]}"
    a, b = np.array(before["coefficients"]), np.array(after["coefficients"])
    distance = abs(a - b).max() / (abs(a).max() or 1) if a.shape == b.shape else np.inf
    if distance > tolerance:
        yield f"coefficients differ by {distance:.2g}"


def main():
    """Compare, print what differs, exit with 1 where something does."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("other", type=Path, help="a checkout of the other version")
    parser.add_argument("--tolerance", type=float, default=0.0)
    options = parser.parse_args()
    before, after = fits_of(options.other.resolve()), fits_of(ROOT)
    found = 0
    for one, other in zip(before, after, strict=True):
        for difference in differences(one, other, options.tolerance):
            found += 1
            print(f"{one['fit']}: {difference}")
    print(f"{len(before)} fits, {found} differences")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
