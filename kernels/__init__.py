"""The kernels: cpu/ holds Numba loops, cuda/ CUDA C++. Nothing here knows the rest of the package."""
