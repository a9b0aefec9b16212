"""The encoding of a column of a table, as a value and as JSON."""

import math
from dataclasses import asdict, dataclass, fields


@dataclass(frozen=True)
class Number:
    """A column of numbers: value / scale, with the median in place of missing numbers.

    If `missing`, another column marks the missing numbers; that is so if training rows lack a value.
    """

    name: str
    median: float
    missing: bool = False
    scale: float = 1.0
    kind: str = "number"

    @property
    def features(self):
        """The names of its columns in the matrix."""
        return [self.name, f"{self.name} (missing)"] if self.missing else [self.name]

    def check(self):
        """Raise ValueError for what `learn` cannot have made."""
        numbers = (self.median, self.scale)
        if not all(type(value) is float and math.isfinite(value) for value in numbers) or self.scale <= 0:
            raise ValueError(f"the numbers of column {self.name!r} are {numbers}")
        if type(self.missing) is not bool or self.kind not in ("number", "bool"):
            raise ValueError(f"column {self.name!r} is of kind {self.kind!r}")


@dataclass(frozen=True)
class Levels:
    """A column of levels: a column of zeros and ones for each, one for all pooled levels, and one for missing
    values. The level `base`, if there is one, has no column: the others are compared with it."""

    name: str
    levels: tuple
    pooled: tuple = ()
    missing: bool = False
    base: str | None = None

    @property
    def known(self):
        """All texts that training had: those with a column, those pooled, and the base."""
        return [*self.levels, *self.pooled, *([] if self.base is None else [self.base])]

    @property
    def features(self):
        """The names of its columns in the matrix."""
        others = [f"{self.name} (rare)"] * bool(self.pooled) + [f"{self.name} (missing)"] * self.missing
        return [f"{self.name}={level}" for level in self.levels] + others

    def check(self):
        """Raise ValueError for what `learn` cannot have made."""
        known = self.known
        if not all(type(level) is str for level in known) or len(set(known)) < len(known):
            raise ValueError(f"the levels of column {self.name!r} are not distinct texts")
        if type(self.missing) is not bool:
            raise ValueError(f"`missing` of column {self.name!r} is neither true nor false")


@dataclass(frozen=True)
class LeftOut:
    """A column that is not used, and why."""

    name: str
    why: str
    features = ()

    def check(self):
        """Raise ValueError for what `learn` cannot have made."""
        if type(self.why) is not str:
            raise ValueError(f"the reason to leave out column {self.name!r} is not a text")


_KINDS = {"number": Number, "levels": Levels, "left out": LeftOut}


def pack(columns):
    """The JSON values of columns."""
    names = {kind: name for name, kind in _KINDS.items()}
    values = [{"is": names[type(column)], **asdict(column)} for column in columns]
    listed = lambda value: list(value) if isinstance(value, tuple) else value  # noqa: E731
    return [{key: listed(item) for key, item in value.items()} for value in values]


def unpack(values):
    """Columns from untrusted JSON values.

    Raises
    ------
    ValueError
        `pack` cannot have made them.
    """
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        raise ValueError("its columns are not a list of objects")
    columns = [_unpacked(dict(value)) for value in values]
    if len({column.name for column in columns}) < len(columns):
        raise ValueError("it has two columns of one name")
    return columns


def _unpacked(value):
    kind = _KINDS.get(str(value.pop("is", None)))
    if kind is Levels:
        value.setdefault("base", None)  # files of earlier versions lack it
    if (
        kind is None
        or value.keys() != {field.name for field in fields(kind)}
        or type(value["name"]) is not str
    ):
        raise ValueError("one of its columns is of no known kind")
    if kind is Levels:
        for name in ("levels", "pooled"):
            if not isinstance(value[name], list):
                raise ValueError(f"the {name} of column {value['name']!r} are not a list")
            value[name] = tuple(value[name])
    column = kind(**value)
    column.check()
    return column
