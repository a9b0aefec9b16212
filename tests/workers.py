"""Workers of a cluster in this process, and what befalls them."""

import collections

from logreg_accel.cluster import worker
from logreg_accel.cluster.parts import LOST, Failed
from logreg_accel.cluster.processes import cloudpickle


class Here:
    """Workers in this process, each with its own memory; `happens` says what befalls the k-th call."""

    def __init__(self, count, happens=lambda call: None):
        self.names, self.happens, self.calls = [f"w{i}" for i in range(count)], happens, 0
        self.memory = collections.defaultdict(collections.OrderedDict)
        self.waiting, self.silent, self.late = {}, set(), {}

    def submit(self, who, function, args):
        self.calls += 1
        self.waiting[self.calls] = who, cloudpickle.dumps((function, args))
        return self.calls

    def gather(self, handles, timeout):
        handle = next(iter(handles))
        who, message = self.waiting.pop(handle)
        fate = self.happens(handle)
        if fate == "hangs":
            self.silent.add(who)
            self.late[handle] = who, message
            return []
        if fate in ("dies", "dies for good", "forgets"):
            self.memory.pop(who, None)
        if fate == "dies for good" and len(self.names) > 1:
            self.names.remove(who)
        if fate == "joins":
            self.names.append(f"w{handle + 100}")
        if fate in ("dies", "dies for good"):
            return [(handle, LOST)]
        return [(handle, self._run(who, message))]

    def _run(self, who, message):
        function, args = cloudpickle.loads(message)
        worker._shelves = self.memory[who]
        try:
            return cloudpickle.loads(cloudpickle.dumps(function(*args, n_threads=1)))
        except Exception as error:
            return Failed(error)

    def cancel(self, handles, running=True):
        for handle in handles:
            if handle in self.late:  # it wakes up, and does what nobody waits for any more
                self._run(*self.late.pop(handle))

    def workers(self):
        silent, self.silent = self.silent, set()
        return {name: 1e9 if name in silent else 0.0 for name in self.names}
