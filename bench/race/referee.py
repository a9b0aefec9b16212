"""Starts contestants, reads the clock, keeps what they did.

Every run has a process of its own, and settings go from loose to tight.
"""

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import scipy.sparse

from .child import bytes_of
from .contestants import CONTESTANTS

BENCH = Path(__file__).resolve().parent.parent
TARGETS = (1e-4, 1e-6, 1e-8)  # relative suboptimality (F − F*)/F*
_SHARE_BELOW = 20e6  # bytes of X: starting a process would take longer than all the fits
_TIMED_OUT = "timed out"
_GRACE = 120.0  # seconds to start, load and warm up, beside those of a run
# settings in a row that were no better than the one before: it stands on its floor, if it is slow besides
_STALLED = 2
_EXACT_UP_TO = 2000  # features: beyond, the reference is newton-cg's


class Ended(Exception):
    """The child is gone: it took too long, or it died. The argument is the status to record."""


class Child:
    """A contestant's process, on X and y in files: `ask` it for settings, one after the other."""

    def __init__(
        self, name, dtype, place, threads, C=1.0, warm=True, patience=_GRACE, repeats=20, l1_ratio=0.0
    ):
        X = next(path for path in (place / "X.npy", place / "X.npz") if path.exists())
        spec = {
            "contestant": name,
            "dtype": dtype,
            "X": str(X),
            "y": str(place / "y.npy"),
            "threads": threads,
            "C": C,
            "l1_ratio": l1_ratio,
            "warm": warm,
            "repeats": repeats,
        }
        limits = {f"{library}_NUM_THREADS": str(threads) for library in ("OMP", "OPENBLAS", "MKL", "NUMEXPR")}
        path = os.pathsep.join(filter(None, (str(BENCH), str(BENCH.parent), os.environ.get("PYTHONPATH"))))
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "race.child", json.dumps(spec)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            env={
                **os.environ,
                **limits,
                "CUDA_VISIBLE_DEVICES": "",
                "PYTHONPATH": path,
            },  # a race of processors
        )
        self.text = b""
        try:
            self._answer(patience)
        except BaseException as error:
            self.close()
            if str(error) == _TIMED_OUT:
                raise Ended(f"{_TIMED_OUT} in the warm-up") from None
            raise

    def ask(self, setting, seconds):
        """The answer to a setting; Ended where the fit takes longer than `seconds`."""
        try:
            self.process.stdin.write((json.dumps(setting) + "\n").encode())
            self.process.stdin.flush()
            answer = self._answer(seconds)
            return self._answer(10 * seconds + _GRACE) if "fitted" in answer else answer
        except OSError:
            raise Ended(self._died()) from None

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        self.errors.close()

    def _answer(self, seconds):
        end = time.monotonic() + seconds
        while b"\n" not in self.text:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                raise Ended(_TIMED_OUT)
            read = os.read(self.process.stdout.fileno(), 1 << 20)
            if not read:
                raise Ended(self._died())
            self.text += read
        line, self.text = self.text.split(b"\n", 1)
        return json.loads(line)

    def _died(self):
        """The last line that it printed, or how it ended."""
        code = self.process.wait()
        self.errors.seek(0)
        lines = self.errors.read().decode(errors="replace").strip().splitlines()
        return f"died: {lines[-1][:200]}" if lines and code == 1 else f"died: exit {code}"


class Track:
    """A case ready to be raced: its files, the reference optimum, and what is to be kept of every run."""

    def __init__(self, case, X, y, place, threads, seconds, keep, C=1.0, repeats=20, l1_ratio=0.0):
        self.l1_ratio, self.plain = l1_ratio, not (l1_ratio or y.max() > 1 or hasattr(X, "indptr"))
        self.case, self.place, self.threads, self.seconds, self.keep, self.C = (
            case,
            Path(place),
            threads,
            seconds,
            keep,
            C,
        )
        self.repeats = repeats
        self.nbytes, self.features, self.best = bytes_of(X), X.shape[1], np.inf
        self.shape = X.shape
        if hasattr(X, "indptr"):
            scipy.sparse.save_npz(self.place / "X.npz", X, compressed=False)
        else:
            np.save(self.place / "X.npy", X)
        np.save(self.place / "y.npy", y)

    def child(self, name, dtype, warm=True):
        return Child(
            name,
            dtype,
            self.place,
            self.threads,
            self.C,
            warm,
            self.seconds + _GRACE,
            self.repeats,
            self.l1_ratio,
        )

    def run(self, name, dtype, setting, child=None, limit=None, warm=True):
        """One run, kept; with a child that is given, that one is asked."""
        record = {"case": self.case, "contestant": name, "dtype": dtype, "setting": setting}
        mine = child is None
        try:
            child = child or self.child(name, dtype, warm)
            record |= child.ask(setting, limit or self.seconds)
        except Ended as end:
            record |= {"status": str(end), "limit": limit or self.seconds}
        finally:
            if mine and child:
                child.close()
        if record["status"] == "ok" and "value" in record:
            self.best = min(self.best, record["value"])
        return record

    def reference(self):
        """The optimum in float64, by ours at tol 1e-13.

        Anything lower that a run finds later takes its place.
        """
        if not self.plain:
            return self.run("ours", "float64", {"tol": 1e-13}, limit=10 * self.seconds + _GRACE)
        name = "ours newton-cholesky" if self.features <= _EXACT_UP_TO else "ours lbfgs"
        return self.run(name, "float64", {"tol": 1e-13}, limit=10 * self.seconds + _GRACE)

    def climb(self, name):
        """A contestant's ladder, until the tightest target is reached, time is up, or long runs get no
        better.

        float64 follows where float32 does not get there, from the setting on at which float32 was at its
        best.
        """
        contestant = CONTESTANTS[name]
        ladder, start, reached = contestant.ladder(*self.shape), 0, np.inf
        for dtype in contestant.dtypes:
            stalled, best_at, before = 0, start, np.inf
            with _Keeper(self, name, dtype) as children:
                for place, setting in enumerate(ladder[start:], start):
                    record = self.run(name, dtype, setting, children.get())
                    self.keep(record)
                    if record["status"] != "ok":
                        break
                    gap = (record["value"] - self.best) / abs(self.best)
                    if gap < reached:
                        reached, best_at = gap, place
                    if reached <= TARGETS[-1]:
                        return
                    stalled, before = (0, gap) if gap < 0.9 * before else (stalled + 1, before)
                    if stalled >= _STALLED and record["seconds"] > 0.1 * self.seconds:
                        break
            start = best_at

    def reads(self):
        """How newton-subsampled goes in float32 and in float64.

        For each, points as (reads of X, objective), samples counted in.
        """
        found, name = [], "ours newton-subsampled"
        with _Keeper(self, name, "float32") as children:
            for dtype, tol in (("float32", 1e-10), ("float64", 1e-12)):
                answer = self.run(
                    name,
                    "float32",
                    {"steps": {"dtype": dtype, "tol": tol}},
                    children.get(),
                    10 * self.seconds,
                )
                found.append(
                    {
                        "case": self.case,
                        "dtype": dtype,
                        "status": answer["status"],
                        "points": answer.get("points", []),
                    }
                )
        return found


class _Keeper:
    """Children for a ladder.

    Where X is small there is one for all of it, else none, so that every run starts its own.
    """

    def __init__(self, track, name, dtype):
        self.track, self.name, self.dtype, self.child = track, name, dtype, None

    def __enter__(self):
        return self

    def get(self):
        if self.track.nbytes < _SHARE_BELOW and self.child is None:
            try:
                self.child = self.track.child(self.name, self.dtype)
            except Ended:
                return None  # the run of its own records why
        return self.child

    def __exit__(self, *_):
        if self.child:
            self.child.close()
