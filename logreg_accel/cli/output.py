"""Output of the verbs: progress on stderr, results on stdout.

It is formatted by rich if that is installed and the stream is a terminal.
"""

import contextlib
import importlib.util
import json
import math
import os
import re
import stat
import sys
import textwrap

from ..data.finding import find_files
from ..data.tables import without_commands
from ..persistence.writing import check_writable
from . import UsageError

_COMMAND = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def check_output(option, path, inputs=(), suffixes=()):
    """Check early that a file can be written, so that a failure does not come only after the work.

    Parameters
    ----------
    option : str
        The option that has the path, for the message.
    path : str
    inputs : sequence of str
        Files that are read, and other outputs; this one must not be one of them under any name.
    suffixes : sequence of str
        Allowed suffixes; empty for any. A name without a suffix is always allowed.

    Raises
    ------
    UsageError, OSError
    """
    if path == "-":
        raise UsageError(f"{option} -: expected the name of a file, such as ./- or /dev/stdout")
    for given in inputs:
        if same_file(path, given):
            raise UsageError(f"{option} {path} is the same file as {given}; name another file")
    suffix = os.path.splitext(path)[1].lower()
    if suffixes and suffix and suffix not in suffixes:
        raise UsageError(f"{option} {path}: expected a name that ends with {', '.join(suffixes)}")
    check_writable(path)


def check_drawing(option, path, inputs=(), suffixes=(".html", ".htm")):
    """As `check_output`, for a file with figures, if one is requested."""
    if path is None:
        return
    check_output(option, path, inputs, suffixes)
    if importlib.util.find_spec("matplotlib") is None:
        raise UsageError(f"{option} needs matplotlib: pip install 'logreg-accel[report]'")


def inputs_of(patterns):
    """The files that match patterns; patterns without a match are kept."""
    try:
        return find_files(patterns)
    except OSError:
        return list(patterns)


def same_file(one, other):
    """Whether two paths are one regular file, or will be when it is written, through links of any kind."""
    try:
        return os.path.samefile(one, other) and stat.S_ISREG(os.stat(one).st_mode)
    except OSError:  # one of them does not exist
        return os.path.realpath(one) == os.path.realpath(other)


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
        self.quiet, self.warnings = quiet, []  # sentences that the report repeats
        self._console = _rich_console(sys.stderr)
        self._headed, self._tenths = False, 0

    def say(self, text):
        """Print a message on a line of its own."""
        if not self.quiet:
            self._print(shown(text), "dim")

    def count(self, done, total, text):
        """Print a message after every tenth of the work."""
        tenths, self._tenths = self._tenths, 10 * done // total
        if self._tenths != tenths:
            self.say(text)

    @contextlib.contextmanager
    def working(self, text):
        """Print the current task, with a spinner on a terminal."""
        if self._console and not self.quiet:
            with self._console.status(shown(text)):
                yield
        else:
            self.say(text)
            yield

    def warn(self, sentence, always=False):
        """Print a warning, with `always` even in quiet mode, and keep it."""
        self.warnings.append(sentence)
        if always or not self.quiet:
            self._print(shown(f"warning: {sentence}"), "dim")

    def _print(self, line, style=None):
        if self._console:
            self._console.print(line, style=style, markup=False)
        else:
            print(line, file=sys.stderr, flush=True)

    def __call__(self, record, w):
        from ..history import HEADINGS, format_record

        if not self.quiet:
            if not self._headed:
                self._headed = True
                self._print(HEADINGS, "dim")
            self._print(format_record(record))
        return False


def print_table(title, headings, rows, stream=None):
    """Print a table of strings; all columns but the first are right-aligned, as suits numbers."""
    stream = stream or sys.stdout
    title, headings = shown(title), [shown(heading) for heading in headings]
    rows = [[shown(cell) for cell in row] for row in rows]
    console = _rich_console(stream)
    if console:
        from rich.table import Table

        for part in _parts([headings, *rows], console.width):
            headed = any(headings)
            table = Table(title=title, title_justify="left", title_style="bold", show_header=headed)
            for i in part:
                table.add_column(headings[i], justify="left" if i == 0 else "right", overflow="fold")
            for row in rows:
                table.add_row(*(row[i] for i in part))
            console.print(table)
        return
    widths = [max(len(row[i]) for row in [headings, *rows]) for i in range(len(headings))]
    print(title, file=stream)
    for row in [headings, *rows] if any(headings) else rows:
        numbers = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        print("  " + "  ".join([row[0].ljust(widths[0]), *numbers]).rstrip(), file=stream)


def _parts(rows, width):
    """Groups of columns that fit side by side without broken words, each with the first column."""
    cells = [max((len(row[i]) for row in rows[1:]), default=0) for i in range(len(rows[0]))]
    needs = [3 + max(cell, _longest_word(heading)) for cell, heading in zip(cells, rows[0], strict=True)]
    parts = [[0]]
    for i, need in enumerate(needs[1:], start=1):
        if len(parts[-1]) > 1 and sum(needs[j] for j in parts[-1]) + need >= width:
            parts.append([0])
        parts[-1].append(i)
    return parts


def _longest_word(text):
    return max(map(len, text.split()), default=0)


def print_facts(title, facts, stream=None):
    """Print names and values, one pair per line."""
    stream = stream or sys.stdout
    width = max(len(name) for name in facts)
    print(shown(title), file=stream)
    for name, value in facts.items():
        lines = textwrap.wrap(
            shown(text(value)), max(40, 76 - width), break_long_words=False, break_on_hyphens=False
        )
        for heading, line in zip([name, *[""] * len(lines)], lines or [""], strict=False):
            print(f"  {heading.ljust(width)}  {line}".rstrip(), file=stream)


_LABELS = {
    "backend_reason": "because",
    "GB_per_s": "GB per s",
    "error_bars": "error bars",
    "suboptimality": "suboptimality, estimated",
    "proven": "suboptimality, proven",
}
_FEW_DIGITS = ("seconds", "GB_per_s", "passes", "suboptimality", "proven")


def for_people(facts):
    """The facts about a fit, with plain names; times, rates and distances have three digits."""
    return {
        _LABELS.get(name, name): f"{value:.3g}" if name in _FEW_DIGITS else value
        for name, value in facts.items()
        if not (isinstance(value, float) and math.isnan(value))
    }


def coefficient(value):
    """A coefficient as text, to four digits."""
    return f"{value:#.4g}"


def shown(line):
    """A line for a terminal, with control characters from files escaped."""
    return without_commands(line, _COMMAND)


def name_of(column):
    """The name of a column of a table; a description if it is empty, as in tables that R has written."""
    return column.name or "(no name)"


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
