"""Names of the dense CUDA kernels that a set of shapes launches."""

import numpy as np

from conftest import DTYPES
from logreg_accel.kernels.cuda import shapes

INTEGERS = ["int16", "uint16", "int32", "uint32", "int64", "uint64"]  # computed with as float64
STORED = [dtype for dtype in DTYPES if dtype in shapes.STORAGE and dtype not in INTEGERS]
PASSES = ["LossGradient", "HessianVector", "Diagonal", "Margins"]
SUMS = ["sum_slices<float>", "sum_slices<double>"]


def kernels_of(dtypes, columns, passes=PASSES, outputs=(1,), padded=True, m=100):
    """Name expressions of dense passes."""
    names = set()
    for dtype in dtypes:
        itemsize = np.dtype(dtype).itemsize
        for n in columns:
            width = shapes.padded(n, itemsize) if padded else n
            for name in passes:
                for k in outputs:
                    launch = shapes.dense(
                        name, dtype, m, width, k, shapes.widest_vector(itemsize, 0, width, width)
                    )
                    if launch:
                        names.add(launch.kernel)
    return names
