"""Parts of a source on workers: who has which, and what happens when a worker dies, hangs or is late.

A pool has four calls::

    submit(worker, function, args) -> handle     runs function(*args, n_threads=...) there
    gather(handles, timeout) -> [(handle, outcome)]    of finished calls: a value, a Failed, or LOST
    cancel(handles)                              their results are no longer needed
    workers() -> {worker: seconds since it was last heard of}
"""

import collections
import time
from typing import NamedTuple

from . import worker
from .messages import Lacking

SILENT = 30.0
"""Seconds without a sign of life after which a worker is given up."""

_PATIENCE = 120.0  # seconds to wait for a first worker
_TRIES = 6  # how often a part is tried in one question
_POLL = 0.2  # seconds between two looks at the workers

LOST = object()
"""The outcome of a call on a worker that died."""


class Failed(NamedTuple):
    """The outcome of a call that raised an exception."""

    error: BaseException


class ClusterError(RuntimeError):
    """There are no workers, or every worker that reads some parts dies."""


class PartsOnWorkers:
    """Asks workers about parts until there is an answer for every part.

    Parameters
    ----------
    pool : pool
    plan : messages.Plan
    parts : list of Part

    Attributes
    ----------
    digests : dict of int -> bytes
        Checksums of the parts from the first read, which later reads have to match.
    """

    def __init__(self, pool, plan, parts):
        self.pool, self.plan, self.parts = pool, plan, parts
        self.owner, self.held = {}, collections.defaultdict(set)
        self.digests = {}

    def first(self):
        """The pattern that all chunks have to match: from the first part that has rows."""
        found = None
        for i, part in enumerate(self.parts):
            (found,) = self._asked([i], lambda who, mine, part=part: (worker.peek, (part,)))
            if found is not None and found[1].types:
                break
        return found

    def ask(self, method, args=(), numbers=None):
        """The results of a method of a Shelf for some parts, one by one as they arrive.

        A worker gets one question about the parts that it holds, and one question for each other part.

        Parameters
        ----------
        method : str
        args : tuple
        numbers : iterable of int or None
            None asks about all parts.
        """
        numbers = range(len(self.parts)) if numbers is None else numbers

        def call(who, mine):
            unread = {i: (self.parts[i], self.digests.get(i)) for i in mine if i not in self.held[who]}
            return worker.work, (self.plan, unread, method, mine, args)

        yield from self._asked(numbers, call)

    def forget(self):
        """Tell workers that these parts are no longer needed."""
        for who in self.pool.workers():
            if self.held[who]:
                self.pool.cancel([self.pool.submit(who, worker.forget, (self.plan.token,))], running=False)

    # -- one question ----------------------------------------------------------------------------------------

    def _asked(self, numbers, call):
        waiting, running, tries = sorted(numbers), {}, collections.Counter()
        try:
            while waiting or running:
                if waiting:
                    for who, mine in self._assigned(waiting):
                        for some in _calls(mine, self.held[who]):
                            running[self.pool.submit(who, *call(who, some))] = who, some
                waiting = []
                for handle, outcome in self.pool.gather(list(running), _POLL):
                    who, mine = running.pop(handle)
                    if isinstance(outcome, Failed):
                        raise outcome.error
                    if outcome is LOST or isinstance(outcome, Lacking):
                        self.held[who].difference_update(mine if outcome is LOST else outcome.parts)
                        waiting += self._again(mine, tries, outcome is LOST)
                        continue
                    self.held[who].update(mine)
                    yield outcome
                waiting += self._given_up(running, tries)
        finally:
            self.pool.cancel(list(running))

    def _again(self, mine, tries, lost):
        tries.update(mine)
        worst = max(mine, key=tries.__getitem__)
        if tries[worst] > _TRIES:
            raise ClusterError(
                f"workers ended {tries[worst]} times while they had {self.parts[worst].name!r} and "
                f"{len(mine) - 1} more parts. Do they run out of memory? `memory` is what a fit may use on "
                "each worker; more and smaller files can be distributed more evenly."
            )
        return mine

    def _given_up(self, running, tries):
        """The parts of questions whose worker died or hangs."""
        silent, again = self.pool.workers(), []
        for handle, (who, mine) in list(running.items()):
            if silent.get(who, SILENT) >= SILENT:
                del running[handle]
                self.pool.cancel([handle])
                self.held[who].difference_update(mine)
                again += self._again(mine, tries, True)
        return again

    def _assigned(self, numbers):
        """(worker, parts) for some parts: their owners, unless these died or have more parts than others."""
        workers = self._workers()
        most = -(-len(self.parts) // len(workers))
        load = collections.Counter(who for who in self.owner.values() if who in workers)
        mine, rest = collections.defaultdict(list), []
        for i in numbers:
            who = self.owner.get(i)
            if who in workers and load[who] <= most:
                mine[who].append(i)
            else:
                load[who] -= 1
                self.owner.pop(i, None)
                rest.append(i)
        share = -(-len(rest) // len(workers)) if rest else 0
        while rest:
            who = min(workers, key=load.__getitem__)  # the first worker with the fewest parts
            some = rest[: max(min(most - load[who], share), 1)]
            rest = rest[len(some) :]
            load[who] += len(some)
            mine[who] += some
            self.owner.update(dict.fromkeys(some, who))
        return [(who, sorted(some)) for who, some in mine.items()]

    def _workers(self):
        """The workers that are alive, in a fixed order; waits if there are none."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            there = sorted(who for who, silent in self.pool.workers().items() if silent < SILENT)
            if there:
                return there
            if time.monotonic() > deadline:
                raise ClusterError(
                    f"no worker has answered for {_PATIENCE:.0f} s. Start some and fit again; with "
                    "`checkpoint` the fit continues where it stopped."
                )
            time.sleep(_POLL)


def _calls(numbers, held):
    """One call for the parts that a worker holds, and one for each other part."""
    there = [i for i in numbers if i in held]
    return [*([there] if there else []), *([i] for i in numbers if i not in held)]
