"""Results, time and errors of the sections.

Each section has a file of its own, which is written after every case, whatever goes wrong.
"""

import contextlib
import json
import os
import time
import traceback
from pathlib import Path

_LOST = (
    "illegal",
    "misaligned",
    "unspecified launch failure",
    "device-side assert",
    "hardware stack",
    "uncorrectable",
)

_FRAMES = 4  # of a traceback that a failed case tells


def write_json(path, values):
    """Whole or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".unfinished")
    unfinished.write_text(json.dumps(values, indent=1, default=_plain) + "\n", encoding="utf-8")
    os.replace(unfinished, path)


def read_json(path):
    """What `write_json` wrote; empty where there is no file yet."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _plain(value):
    """NumPy's numbers and arrays as Python's."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


class Budget:
    """Seconds that may be spent."""

    def __init__(self, seconds, clock=time.monotonic):
        self.clock, self.end = clock, clock() + seconds

    def left(self):
        return self.end - self.clock()

    def share(self, part):
        """A part of what is left, as a budget of its own."""
        return Budget(part * max(self.left(), 0.0), self.clock)


class DeviceLost(Exception):
    """An error after which CUDA answers nothing more in this process."""


def attempt(failures, name, function, *arguments):
    """What the function returns; None, and the reason under `name`, where it fails."""
    try:
        return function(*arguments)
    except Exception as error:
        failures[name] = reason(error)
        if any(word in str(error) for word in _LOST):
            raise DeviceLost(failures[name]) from error
        return None


def reason(error):
    """An error in a line: its type, its words, and the last lines of code that it came through."""
    text = " ".join(str(error).split())[:300]
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    came = " > ".join(f"{Path(at.filename).name}:{at.lineno} {at.name}: {at.line}" for at in frames)
    return f"{type(error).__name__}: {text} [{came}]"


class Part(dict):
    """What a section has so far, in a file of its own; one that was there already is taken up again.

    Under "under_way" stands what was running when the file was written. Found there at the start, it ended
    the process, and is left out from then on.
    """

    def __init__(self, path):
        self.path = Path(path)
        super().__init__(
            {"cases": [], "failed": {}, "ended_the_process": [], **read_json(self.path), "not_measured": []}
        )
        if culprit := self.pop("under_way", None):
            self["ended_the_process"].append(culprit)

    def save(self):
        write_json(self.path, self)

    @contextlib.contextmanager
    def under(self, name):
        """Marks what is running; stays where it does not end."""
        outer = self.get("under_way")
        self["under_way"] = name
        self.save()
        yield
        self["under_way"] = outer
        self.save()

    def refuses(self, name):
        return name in self["ended_the_process"]

    def case(self, name, budget, function, *arguments):
        """What the function returns goes to the cases.

        It is not called if the case is there already or has ended the process, or if there is no time.
        """
        if any(case["name"] == name for case in self["cases"]):
            return
        if budget.left() < 3 or self.refuses(name):
            self["not_measured"].append(name)
            return
        with self.under(name):
            if values := attempt(self["failed"], name, function, *arguments):
                self["cases"].append({"name": name, **values})
