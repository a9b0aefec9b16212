"""`python -m logreg_accel` is `logreg-accel`."""

import sys

from .cli import main

sys.exit(main())
