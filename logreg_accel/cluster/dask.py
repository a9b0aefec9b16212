"""Workers of a Dask cluster as a pool."""

import concurrent.futures
import functools
import hashlib
import sys
import time
from pathlib import Path

from .collections import Partition
from .parts import LOST, ClusterError, Failed

_FRESH = 0.5  # seconds for which the list of workers is kept
_FETCH = 20.0  # seconds that a result may take to arrive here


class DaskPool:
    """See `parts`. Futures are pure functions that are bound to a worker; if it dies, they are submitted
    again.

    Parameters
    ----------
    client : distributed.Client
    """

    def __init__(self, client):
        self.client, self.looked = client, -_FRESH
        self.told, self.heard = {}, {}

    def submit(self, worker, function, args):
        from distributed.protocol.pickle import dumps

        # Partitions are futures, which Dask computes again if they are lost.
        partitions = [part.read for part in _parts_in(args) if isinstance(part.read, Partition)]
        values = [self.client.compute(value) for partition in partitions for value in partition.values]
        keys = [(partition.key, len(partition.values)) for partition in partitions]
        asked = dumps((function, args))  # _run compares versions before it loads this
        return self.client.submit(_run, code(), asked, keys, *values, workers=[worker], pure=False, retries=0)

    def gather(self, handles, timeout):
        from distributed import CancelledError, wait

        try:
            wait(handles, timeout=timeout)  # for all of them, so that they are fetched together
        except TimeoutError:
            pass  # some of them are done
        except (CancelledError, concurrent.futures.CancelledError):
            pass  # reported below
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
        """See `parts`. Ages follow from changes in the scheduler's reports, since its clock may differ."""
        now = time.monotonic()
        if now - self.looked > _FRESH:
            found = self.client.scheduler_info(n_workers=-1).get("workers")
            if found is None:
                raise ClusterError("`client` is closed, or its cluster is. Make a new one and fit again.")
            told = {name: facts["last_seen"] for name, facts in found.items()}
            same = {name for name, seen in told.items() if self.told.get(name) == seen}
            self.heard = {name: self.heard[name] if name in same else now for name in told}
            self.told, self.looked = told, now
        return {name: now - heard for name, heard in self.heard.items()}

    def close(self):
        """The caller owns the client, which stays open."""

    def _fetched(self, done):
        """Values that are on workers, which may die at any time."""
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


def _parts_in(args):
    """The parts in the arguments of a call."""
    found = []
    for value in args:
        if isinstance(value, dict):
            found += [part for part, _ in value.values()]
        elif hasattr(value, "read"):
            found.append(value)
    return found


@functools.cache
def code():
    """The version of this package, and a fingerprint of its modules."""
    folder, known = Path(__file__).parent.parent, hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        known.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return f"{sys.modules['logreg_accel'].__version__} ({known.hexdigest()[:8]})"


def _run(of_client, asked, keys, *values):
    from distributed import get_worker
    from distributed.protocol.pickle import loads

    if of_client != code():
        raise ClusterError(
            f"the worker {get_worker().address} runs logreg_accel {code()}, and the client {of_client}; "
            "expected the same version and modules, whose fingerprint is in brackets. Install it there, and "
            "start the worker again."
        )
    function, args = loads(asked)
    values = iter(values)
    given = {key: [next(values) for _ in range(count)] for key, count in keys}
    for part in _parts_in(args):
        if isinstance(part.read, Partition):
            part.read.values = given[part.read.key]
    return function(*args, n_threads=get_worker().state.nthreads)
