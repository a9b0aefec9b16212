"""The compiled loops: cpu/ holds Numba's, cuda/ the CUDA C++ sources. Nothing here knows the rest of the package."""
