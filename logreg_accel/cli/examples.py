"""`logreg-accel examples`: small scripts, listed and written out."""

import ast
import os
from importlib import resources

from ..persistence.writing import write_whole
from . import UsageError
from .output import print_json


def examples(options):
    """List the scripts, or write some to a folder."""
    scripts = found()
    unknown = [name for name in options.name if name not in (*scripts, "all")]
    if unknown:
        raise UsageError(f"there is no example {unknown[0]!r}; expected all, {', '.join(scripts)}")
    if not options.name:
        told = {name: ast.get_docstring(ast.parse(text)) for name, text in scripts.items()}
        if options.json:
            return print_json(told)
        return _list(told)
    chosen = list(scripts) if "all" in options.name else options.name
    paths = {name: os.path.join(options.output, f"{name}.py") for name in chosen}
    there = [path for path in paths.values() if os.path.lexists(path)]
    if there:
        raise UsageError(f"{there[0]} exists; name another folder with --output")
    os.makedirs(options.output, exist_ok=True)
    for name, path in paths.items():
        write_whole(path, lambda file, name=name: file.write(scripts[name].encode()))
    if options.json:
        print_json({"written": list(paths.values())})
    else:
        print(*paths.values(), sep="\n")
        print(f"Run one: python {path}. It writes a picture to the current folder.")
    return None


def found():
    """{name: text} of the scripts."""
    files = resources.files("logreg_accel.examples").iterdir()
    names = sorted(file.name for file in files if file.name.endswith(".py") and not file.name.startswith("_"))
    folder = resources.files("logreg_accel.examples")
    return {name.removesuffix(".py"): (folder / name).read_text(encoding="utf-8") for name in names}


def _list(told):
    import textwrap

    width = max(map(len, told))
    for name, text in told.items():
        indent = " " * (width + 4)
        print(textwrap.fill(f"  {name:{width}}  {text}", 78, subsequent_indent=indent))
    print("\nWrite one out: logreg-accel examples NAME --output FOLDER (all: every one).")
