"""Serial, nogil Numba loops over a range of rows. Importing this package imports Numba; nothing else does."""
