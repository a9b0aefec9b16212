"""What CuPy offers: names and parameters, written down from its wheel, to which the stand-in keeps.

    pip install cupy-cuda13x && python tests/cuda_on_cpu/cupy_api.py

writes cupy_api.json again. No GPU is needed: parameters come from signatures and, of what is compiled, from
the first lines of docstrings.
"""

import inspect
import json
import re
from pathlib import Path

FILE = Path(__file__).with_suffix(".json")
ROOMS = ("cuda", "cuda.runtime", "cuda.memory", "cuda.nvrtc", "linalg")


def load():
    """The names: of functions and methods a list of parameters, of ufuncs and rooms the names alone."""
    return json.loads(FILE.read_text(encoding="utf-8"))


def _parameters(function):
    try:
        return [str(p) if p.kind == p.VAR_POSITIONAL else p.name for p in _signature(function)]
    except ValueError:
        first = (function.__doc__ or "").partition("\n")[0]
        inside = re.search(r"\((.*)\)( ->|$)", first)
        return re.findall(r"(?:^|, )\s*(?:[\w ]+ )?(\*?\w+)(?=[=,]|$)", inside[1]) if inside else None


def _signature(function):
    return inspect.signature(function).parameters.values()


def _look(cupy, cupyx):
    import numpy as np

    shared = [name for name in dir(np) if not name.startswith("_") and hasattr(cupy, name)]
    ufuncs = [name for name in shared if isinstance(getattr(cupy, name), cupy.ufunc)]
    functions = [n for n in shared if inspect.isroutine(getattr(cupy, n)) and n not in ufuncs]
    methods = [n for n in dir(cupy.ndarray) if not n.startswith("_")]
    rooms = {room: cupy for room in ("",)}
    for room in ROOMS:
        parent, _, name = room.rpartition(".")
        rooms[room] = getattr(rooms[parent], name)
    return {
        "version": cupy.__version__,
        "ufuncs": ufuncs,
        "functions": {name: _parameters(getattr(cupy, name)) for name in functions},
        "methods": {
            name: _parameters(getattr(cupy.ndarray, name)) if callable(getattr(cupy.ndarray, name)) else None
            for name in methods
        },
        "rooms": {
            **{room or "cupy": [n for n in dir(found) if n[0] != "_"] for room, found in rooms.items()},
            "cupyx": [name for name in dir(cupyx) if name[0] != "_"],
        },
    }


if __name__ == "__main__":
    import cupy
    import cupyx

    FILE.write_text(json.dumps(_look(cupy, cupyx), indent=0, sort_keys=True) + "\n", encoding="utf-8")
