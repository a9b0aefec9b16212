"""CUDA C++ sources, as text: the CuPy backend compiles them at first use."""

import re
from pathlib import Path

_FOLDER = Path(__file__).parent


def source(name):
    """The text of a .cu file with this folder's headers in place of their #include lines.

    A cache of compiled kernels is keyed by this text, which therefore has to contain the included files.
    """
    text = (_FOLDER / name).read_text(encoding="utf-8")

    def inlined(match):
        header = match.group(1)
        body = f'#line 1 "{header}"\n{source(header)}'
        after = text[: match.end()].count("\n") + 2
        return f'{body}\n#line {after} "{name}"'

    local = {path.name for path in _FOLDER.glob("*.cuh")}
    if not local:
        return text
    return re.sub(
        rf'^#include "({"|".join(map(re.escape, sorted(local)))})".*$', inlined, text, flags=re.MULTILINE
    )
