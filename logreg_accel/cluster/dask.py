"""Workers of a Dask cluster as a pool, and Dask collections as parts."""

import time

from .parts import LOST, Failed

_FRESH = 0.5  # seconds for which the list of workers is believed
_FETCH = 20.0  # seconds that what is done may take to get here


class DaskPool:
    """See `parts`. Futures are pure functions that are bound to a worker: when it goes, they are asked anew.

    Parameters
    ----------
    client : distributed.Client
    """

    def __init__(self, client):
        self.client, self.seen, self.known = client, -_FRESH, {}

    def submit(self, worker, function, args):
        return self.client.submit(
            _run, function, args, workers=[worker], allow_other_workers=False, pure=False, retries=0
        )

    def gather(self, handles, timeout):
        from distributed import wait

        try:
            wait(handles, timeout=timeout, return_when="FIRST_COMPLETED")
        except TimeoutError:
            return []
        done = [handle for handle in handles if handle.status == "finished"]
        outcomes = self._fetched(done) if done else []
        for handle in handles:
            if handle.status in ("error", "cancelled", "lost"):
                outcomes.append((handle, self._failure(handle)))
        return outcomes

    def cancel(self, handles, running=True):
        if handles and running:
            self.client.cancel(handles, force=True)

    def workers(self):
        now = time.monotonic()
        if now - self.seen > _FRESH:
            found = self.client.scheduler_info(n_workers=-1)["workers"]
            self.known, self.seen = {name: facts["last_seen"] for name, facts in found.items()}, now
        return {name: max(time.time() - seen, 0.0) for name, seen in self.known.items()}

    def close(self):
        """The client is the caller's."""

    def _fetched(self, done):
        """Values that lie on workers, which may end right now."""
        try:
            values = self.client.sync(self.client._gather, done, errors="raise", callback_timeout=_FETCH)
        except Exception:
            return [(handle, LOST) for handle in done]
        return list(zip(done, values, strict=True))

    def _failure(self, handle):
        from distributed.scheduler import KilledWorker

        if handle.status != "error":
            return LOST
        try:
            error = handle.exception(timeout=_FETCH)
        except Exception:
            return LOST
        return LOST if isinstance(error, KilledWorker) else Failed(error)


def _run(function, args):
    from distributed import get_worker

    return function(*args, n_threads=get_worker().state.nthreads)
