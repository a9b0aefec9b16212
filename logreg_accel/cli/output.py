"""Output of the verbs: progress on stderr, results on stdout.

It is formatted by rich if that is installed and the stream is a terminal.
"""

import json
import math
import os
import sys


def check_writable(path):
    """Check early that a file can be written, so that a failure does not come only after the work.

    Raises
    ------
    OSError
        The folder of `path` does not exist or is not writable, or `path` is a folder.
    """
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise OSError(f"{path}: {folder} is no folder to write in")
    if os.path.isdir(path):
        raise OSError(f"{path} is a folder; expected a file name")
    if not os.access(folder, os.W_OK):
        raise OSError(f"{path}: {folder} cannot be written")


def _rich_console(stream):
    if not stream.isatty():
        return None
    try:
        from rich.console import Console
    except ImportError:
        return None
    return Console(file=stream, highlight=False)


class Progress:
    """The callback of a fit that prints a line for every step; prints nothing if `quiet`."""

    def __init__(self, quiet=False):
        self.quiet = quiet
        self._console = _rich_console(sys.stderr)
        self._headed = False

    def say(self, text):
        """Print a message on a line of its own."""
        if self.quiet:
            return
        if self._console:
            self._console.print(text, style="dim", markup=False)
        else:
            print(text, file=sys.stderr, flush=True)

    def __call__(self, record, w):
        from ..history import HEADINGS, format_record

        if not self.quiet:
            if not self._headed:
                self._headed = True
                self.say(HEADINGS)
            line = format_record(record)
            if self._console:
                self._console.print(line, markup=False)
            else:
                print(line, file=sys.stderr, flush=True)
        return False


def print_table(title, headings, rows, stream=None):
    """Print a table of strings; all columns but the first are right-aligned, as suits numbers."""
    stream = stream or sys.stdout
    console = _rich_console(stream)
    if console:
        from rich.table import Table

        table = Table(title=title, title_justify="left", title_style="bold")
        for i, heading in enumerate(headings):
            table.add_column(heading, justify="left" if i == 0 else "right", overflow="fold")
        for row in rows:
            table.add_row(*row)
        console.print(table)
        return
    widths = [max(len(row[i]) for row in [headings, *rows]) for i in range(len(headings))]
    print(title, file=stream)
    for row in [headings, *rows]:
        numbers = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        print("  " + "  ".join([row[0].ljust(widths[0]), *numbers]).rstrip(), file=stream)


def print_facts(title, facts, stream=None):
    """Print names and values, one pair per line."""
    stream = stream or sys.stdout
    width = max(len(name) for name in facts)
    print(title, file=stream)
    for name, value in facts.items():
        print(f"  {name.ljust(width)}  {text(value)}", file=stream)


def text(value):
    """Format a value, with floats shortened to six digits."""
    if isinstance(value, float):
        return f"{value:.6g}" if math.isfinite(value) else str(value)
    return "-" if value is None else str(value)


def print_json(value):
    """Print one JSON object on stdout; inf and nan, which JSON lacks, become null."""
    print(json.dumps(_plain(value)))


def _plain(value):
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
