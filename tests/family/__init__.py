"""Random problems, their optimum to more digits than float64 has, and a judge of what fits say of themselves.

`python tests/family 0 500` prints the table; `problems` says what the problems are made of, `reference` how
the truth is found, `judge` what counts as a fault.
"""
