"""Processes of this machine as workers: a pool that needs no other library."""

import itertools
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from multiprocessing.connection import Connection, Pipe

from .parts import LOST, Failed

try:
    import cloudpickle
except ImportError:  # joblib before 1.6 has its own copy
    from joblib.externals import cloudpickle

_BEAT = 1.0  # seconds between signs of life
_START = 60.0  # seconds that a process may take until its first sign of life


class Processes:
    """See `parts`. A process that dies is replaced.

    Parameters
    ----------
    count : int
    n_threads : int
        Threads of each process.
    """

    def __init__(self, count, n_threads=1):
        self.count, self.n_threads, self.closed = count, n_threads, False
        self.handles, self.names = itertools.count(), itertools.count()
        self.outcomes: queue.SimpleQueue = queue.SimpleQueue()
        self.children, self.running, self.done = {}, {}, {}
        self.workers()

    def submit(self, worker, function, args):
        handle = next(self.handles)
        child = self.children.get(worker)
        if child is None:
            self.done[handle] = LOST
            return handle
        self.running[handle] = worker
        child.outbox.put(cloudpickle.dumps((handle, function, args, self.n_threads)))
        return handle

    def gather(self, handles, timeout):
        self._take(0 if any(handle in self.done for handle in handles) else timeout)
        return [(handle, self.done.pop(handle)) for handle in handles if handle in self.done]

    def cancel(self, handles, running=True):
        """Drop these calls, and end the processes that run them."""
        for handle in handles:
            self.done.pop(handle, None)
            worker = self.running.pop(handle, None)
            if running and worker in self.children:
                self.children[worker].process.kill()

    def workers(self):
        self._take(0)
        while len(self.children) < self.count and not self.closed:
            name = f"process {next(self.names)}"
            self.children[name] = _Child(name, self.outcomes)
        now = time.monotonic()
        return {name: max(now - child.heard, 0.0) for name, child in self.children.items()}

    def close(self):
        self.closed = True
        for child in self.children.values():
            child.process.kill()
        for child in self.children.values():
            child.process.wait()
        self.children.clear()

    def _take(self, timeout):
        """Record messages of children; waits for the first one."""
        try:
            while True:
                name, told = self.outcomes.get(timeout=timeout) if timeout else self.outcomes.get_nowait()
                timeout = 0
                if told is None:
                    self.children.pop(name, None)
                    for handle in [handle for handle, who in self.running.items() if who == name]:
                        del self.running[handle]
                        self.done[handle] = LOST
                elif self.running.pop(told[0], None) is not None:  # otherwise its result is no longer needed
                    self.done[told[0]] = told[1]
        except queue.Empty:
            pass


class _Child:
    """A process and two threads that talk to it, so that a frozen process does not block the client."""

    def __init__(self, name, outcomes):
        here, there = Pipe()
        # As an environment variable the path would come before the standard library.
        code = f"import sys; sys.path[:] = {sys.path!r}; "
        code += f"from logreg_accel.cluster.processes import serve; serve({there.fileno()})"
        self.process = subprocess.Popen(
            [sys.executable, "-c", code],
            pass_fds=[there.fileno()],
            stdin=subprocess.DEVNULL,
        )
        there.close()
        self.heard, self.outbox = time.monotonic() + _START, queue.SimpleQueue()
        threading.Thread(target=self._send, args=(here,), daemon=True).start()
        threading.Thread(target=self._receive, args=(here, name, outcomes), daemon=True).start()

    def _send(self, here):
        while True:
            message = self.outbox.get()
            if message is None:
                return
            try:
                here.send_bytes(message)
            except OSError:
                return

    def _receive(self, here, name, outcomes):
        try:
            while True:
                told = cloudpickle.loads(here.recv_bytes())
                self.heard = time.monotonic()
                if told is not None:
                    outcomes.put((name, told))
        except (EOFError, OSError):
            pass
        self.outbox.put(None)
        self.process.wait()
        outcomes.put((name, None))


def serve(descriptor):
    """The main loop of a process: it runs calls until the client closes the connection."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    to_client, lock = Connection(descriptor), threading.Lock()

    def send(told):
        try:
            with lock:
                to_client.send_bytes(cloudpickle.dumps(told))
        except OSError:
            os._exit(1)  # the client has ended

    def beat():
        while True:
            send(None)
            time.sleep(_BEAT)

    threading.Thread(target=beat, daemon=True).start()
    while True:
        try:
            handle, function, args, n_threads = cloudpickle.loads(to_client.recv_bytes())
        except EOFError:
            return
        try:
            outcome = function(*args, n_threads=n_threads)
        except BaseException as error:
            outcome = Failed(error)
        try:
            send((handle, outcome))
        except Exception:  # an error that cannot be sent
            send((handle, Failed(RuntimeError(repr(outcome)))))
