"""python bench/gpu: gpu_runs.py says what it does."""

import sys
from pathlib import Path

sys.path.append(
    str(Path(__file__).resolve().parents[2])
)  # where the package is not installed, the checkout serves

from gpu_runs import main  # noqa: E402

sys.exit(main())
