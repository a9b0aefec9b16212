"""What solver="auto" stands for: a rule that was read off measurements (bench/auto.py)."""

# The rule of "auto" was read off bench/auto.py (results/auto.json); two cores, float32, seconds to 1e-6 at C
# from 0.01 to 100. A sample pays where it is a small part of the rows: 20,000 x 300 take 0.02 to 0.08 s,
# newton-cg 0.04 to 0.2; with 28 rows a feature (20,000 x 700) it is 0.11 to 0.24 to newton-cg's 0.04 to 0.34.
# Below 0.5 MiB newton-cholesky's last full step makes results agree to rounding; above 1000 features the
# Hessian of a sample takes longer than the reads it saves, but not with many classes: 60,000 x 784 of ten
# took 10 s, newton-cg 53 s, before softmax had compiled loops (3 s now; up to where one block of their
# Hessian is 200 MB).
SAMPLE_FROM_ROWS, SAMPLE_FROM_BYTES, SAMPLE_UP_TO_FEATURES, SAMPLE_UP_TO_FEATURES_OF_CLASSES = (
    50,
    1 << 19,
    1000,
    5000,
)

# 3000 x 100 take 5 to 8 ms, newton-cg 3 to 14; 3000 x 400 27 to 41, newton-cg 4 to 27.
NEWTON_UP_TO_FEATURES = 100

# 100 x 10,000 take 8 to 12 ms at any C, lbfgs 2 to 48; 200 rows 35, lbfgs 3 to 34, but 260 on real data
# (arcene); 400 rows 54 to 99, lbfgs 5 to 60.
ROW_SPACE_UP_TO_ROWS, ROW_SPACE_FROM_WIDTH = 256, 10

# 1000 x 4000 take 10 to 44 ms, newton-cg 16 to 136; 2000 x 900 25 to 72, newton-cg 5 to 98.
LBFGS_FROM_WIDTH = 2

# The model of prox-newton is a matrix of so many rows and columns.
PROX_NEWTON_UP_TO_SIZE = 2000


def choose_solver(n_features, n_rows=0, nbytes=0, penalised=True, n_outputs=1, l1=False):
    """The name that "auto" stands for, and why."""
    size = n_features * n_outputs
    if l1:
        return (
            "prox-newton" if size <= PROX_NEWTON_UP_TO_SIZE else "fista"
        ), f"{size} weights under an L1 penalty"
    what = f"{n_features} features" + (f" x {n_outputs} classes" if n_outputs > 1 else "")
    most = SAMPLE_UP_TO_FEATURES if n_outputs == 1 else SAMPLE_UP_TO_FEATURES_OF_CLASSES
    if n_rows >= SAMPLE_FROM_ROWS * n_features and n_features <= most and nbytes >= SAMPLE_FROM_BYTES:
        return "newton-subsampled", f"{n_rows / n_features:.0f} rows a feature: a sample shows the curvature"
    if size <= NEWTON_UP_TO_FEATURES:
        return "newton-cholesky", f"{what}: the Hessian is cheap to factor"
    if (
        penalised
        and n_rows * n_outputs <= ROW_SPACE_UP_TO_ROWS
        and n_features >= ROW_SPACE_FROM_WIDTH * n_rows
    ):
        return "row-space", f"{n_rows} rows: as many unknowns as rows are enough"
    if n_features >= LBFGS_FROM_WIDTH * n_rows:
        return "lbfgs", f"{what}, {n_rows} rows: no Hessian is worth its price"
    return "newton-cg", f"{what}: the Hessian is dear to factor, its products are not"
