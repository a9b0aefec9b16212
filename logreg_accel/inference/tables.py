"""Tables of named rows of numbers: as text, HTML, a dict, or a frame of pandas or polars."""

import html
import importlib.util
import math
from typing import Any

import numpy as np

_WIDTH = 78
P_VALUE = "P>|z|"


class Table:
    """Columns of numbers, each row with a name.

    Parameters
    ----------
    title : str
    names : dict of str -> sequence of str
        The columns that hold the names of rows.
    columns : dict of str -> ndarray (rows,)
    note : str
        How the numbers were computed.
    """

    def __init__(self, title: str, names: dict, columns: dict, note: str = "") -> None:
        self.title, self.names, self.columns, self.note = title, names, columns, note

    def __getitem__(self, name: str) -> np.ndarray:
        """A column of numbers."""
        return self.columns[name]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def to_dict(self) -> dict:
        """Lists by the name of their column, names first."""
        numbers = {name: np.asarray(column).tolist() for name, column in self.columns.items()}
        return {**{name: list(column) for name, column in self.names.items()}, **numbers}

    def to_frame(self, backend: str | None = None) -> Any:
        """A frame of pandas or polars, whichever is installed.

        Parameters
        ----------
        backend : "pandas", "polars", "pyarrow" or None
            None uses the first that is installed.

        Raises
        ------
        ImportError
            None of them is installed.
        """
        return frame_of(self.to_dict(), backend)

    def __str__(self) -> str:
        return "\n".join(
            [self.title.center(_WIDTH).rstrip(), *as_text(self._cells()), *filter(None, [self.note])]
        )

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self.title)}</p>{as_html(self._cells())}<p>{html.escape(self.note)}</p>"

    def _cells(self):
        """A row of headings, then rows of words."""
        cells = [[number(value, name) for value in column] for name, column in self.columns.items()]
        rows = zip(*self.names.values(), *cells, strict=True)
        return [[*("" for _ in self.names), *self.columns], *([str(cell) for cell in row] for row in rows)]


class Summary:
    """The result of `summary()`: it prints as text, and shows as HTML in a notebook.

    Parameters
    ----------
    title : str
    facts : list of (str, str)
        Shown in two columns above the tables, the first half on the left.
    tables : list of list of rows
    notes : sequence of str
    """

    def __init__(self, title: str, facts: list, tables: list, notes: Any = ()) -> None:
        self.title, self.facts, self.tables, self.notes = title, facts, tables, list(notes)

    def as_text(self) -> str:
        """The text that `print` shows."""
        lines = [self.title.center(_WIDTH).rstrip(), "=" * _WIDTH]
        half = (len(self.facts) + 1) // 2
        right = [*self.facts[half:], *[("", "")] * (2 * half - len(self.facts))]
        for (name, value), (other, beside) in zip(self.facts[:half], right, strict=True):
            left = f"{name:<20}{value:>{_WIDTH // 2 - 22}}"
            lines.append(f"{left:<{_WIDTH // 2}}{other:<19}{beside:>{_WIDTH // 2 - 19}}".rstrip())
        for table in self.tables:
            lines += as_text(table)
        return "\n".join([*lines, *self.notes])

    __str__ = as_text
    __repr__ = as_text

    def as_html(self) -> str:
        """Tables of HTML."""
        facts = as_html([["", ""], *([name, value] for name, value in self.facts)])
        notes = "".join(f"<p>{html.escape(note)}</p>" for note in self.notes)
        return f"<h4>{html.escape(self.title)}</h4>{facts}{''.join(map(as_html, self.tables))}{notes}"

    _repr_html_ = as_html


def number(value, heading=""):
    """A number as tables show it: four decimals, or four significant digits."""
    if heading == P_VALUE:
        return f"{value:.3f}"
    if isinstance(value, str) or not math.isfinite(value):
        return str(value)
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e5 else f"{value:.4g}"


def as_text(rows):
    """The lines of a table, with rules; its first row has the headings."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    widths[0] = max(widths[0], _WIDTH - sum(max(w + 2, 12) for w in widths[1:]))
    widths[1:] = [max(w + 2, 12) for w in widths[1:]]
    head, *body = [
        row[0].ljust(widths[0]) + "".join(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))
        for row in rows
    ]
    return ["=" * len(head), head, "-" * len(head), *body, "=" * len(head)]


def as_html(rows):
    """A table in HTML; its first row has the headings."""

    def line(cells, tag):
        return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    head, *body = rows
    return f"<table>{line(head, 'th')}{''.join(line(cells, 'td') for cells in body)}</table>"


def frame_of(columns, backend=None):
    """A frame of some columns, of the requested library or the first one that is installed."""
    import narwhals as nw

    known = ("pandas", "polars", "pyarrow")
    if backend is not None and backend not in known:
        raise ValueError(f"`backend` is {backend!r}; expected one of {', '.join(map(repr, known))}, or None.")
    installed = [name for name in known if importlib.util.find_spec(name)]
    if backend is None and not installed:
        raise ImportError("A frame needs pandas, polars or pyarrow: pip install pandas.")
    return nw.from_dict(columns, backend=backend or installed[0]).to_native()
