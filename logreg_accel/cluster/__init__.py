"""A cluster: rows on workers that read their own parts and may die, hang or join at any time.

`rows` is the interface for fits, `parts` distributes questions and repeats those of lost workers, `worker`
answers them; workers run in `dask` or `processes`.
"""
