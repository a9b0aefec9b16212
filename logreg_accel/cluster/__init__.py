"""A cluster: rows on workers that read their own parts and may die, hang or join at any time.

`rows` is what a fit sees, `parts` asks workers and asks others where those are gone, `worker` is what they
do; `dask` and `processes` are where they run.
"""
