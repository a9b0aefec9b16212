"""Tables that need not fit into memory, encoded batch by batch: a source of rows."""

import collections
import copy
from functools import partial

import numpy as np
from sklearn.base import clone

from ..data.checked import Piece, check_unchanged, stamps_of
from ..data.chunks import BATCH, Chunk
from ..data.gathering import with_places
from ..data.opening import Unfit
from ..data.scan import SoFar, Source, nothing
from .columns import Levels, Number
from .labels import LabelFacts, weights_of
from .rows import Counts, encode_batch

_SHARE = 4  # one part of so many of the memory is for what is learned
_HEAD = 20_000  # rows that are examined for suspicious values


class TableSource(Source):
    """Rows of tables in files; `scan(..., encoder=...)` makes one.

    The encoder learns in one more read, unless it is fitted.

    Attributes
    ----------
    tables : Tables
    encoder : TableEncoder
    coder : Coder or None
        The Coder of the labels, after `learn`.
    head : pyarrow.Table or None
        The first rows, after `learn`.
    on_learned : function
        Is called after `learn`.
    counts : Counts
        Differences of the rows, in their last read, from those that the encoder learned from.
    """

    def __init__(self, tables, wanted, memory, cache, classes, encoder):
        find, names = tables.find, wanted.features
        wanted = wanted._replace(
            target=None if wanted.target is None else find(str(wanted.target)),
            weight=None if wanted.weight is None else find(str(wanted.weight)),
            features=None if names is None else [find(str(name)) for name in names],
            drop=tuple(find(str(name)) for name in wanted.drop),
        )
        super().__init__([reader.path for reader in tables.readers], wanted, memory, cache, classes)
        self.tables, self.coder, self.head, self.counts = tables, None, None, Counts()
        self.on_learned, self._stamps = nothing, None
        known, self._given = hasattr(encoder, "columns_"), None if classes is None else str(classes)
        self.encoder = encoder if known else clone(encoder)
        self._asked = encoder.to_dict() if known else repr(sorted(encoder.get_params().items()))
        self._forced = types_of(encoder) if known else dict.fromkeys(encoder.categorical, "text")
        if not known:
            self._forced |= dict.fromkeys(encoder.numeric, "number")
        self._beside = [name for name in (wanted.target, wanted.weight) if name is not None]
        aside = {*self._beside, *wanted.drop}
        self._features = [name for name in wanted.features or tables.names if name not in aside]
        if not self._features:
            raise ValueError(f"{tables.name!r} has no column left for the features.")

    def fingerprint(self):
        given = super().fingerprint()
        return given and {
            **given,
            "classes": self._given,
            "encoder": self._asked,
            "layout": repr(self.tables.layout),
        }

    def learn(self, check=nothing):
        """Read the tables once to learn the encoding of their columns and the labels; `check` as in `Source`.

        Raises
        ------
        ValueError
            Columns that cannot be used, or rows without a label.
        """
        if self.wanted.target is None:
            raise ValueError("`target` is None; expected the column of the labels.")
        self._check_unchanged()
        self.check_room()
        types, known = self._forced, hasattr(self.encoder, "columns_")
        given = 0 if self.classes is None else len(self.classes)
        at_least = lambda rows, width: check(SoFar(rows, width, 0, given))  # noqa: E731
        if known:
            at_least(0, self.encoder.n_features_out_)
        while self.coder is None:
            try:
                self._learn(types, at_least)
                self.on_learned()
            except Unfit as unfit:
                if unfit.name in self._forced:
                    raise
                types = self.tables.wider(unfit)  # start again, since the texts of numbers were not kept
        check(SoFar(0, self.encoder.n_features_out_, 0, len(self.classes)))

    def _check_unchanged(self):
        """Raise ValueError if files have changed since they were first learned from."""
        if self._stamps is None:
            self._stamps = [stamps_of(part) for part in self.parts]
        for part, stamps in zip(self.parts, self._stamps, strict=True):
            check_unchanged(part, stamps)

    def _learn(self, types, at_least):
        known, labels, head = hasattr(self.encoder, "columns_"), LabelFacts(self.wanted.target), []
        features = [] if known else self._features
        columns = [*features, *self._beside]
        batches = self.tables.batches(types, columns, max(BATCH // (8 * len(columns)), 1), locate=False)

        def beside():
            rows = 0
            for number, batch in batches:
                labels.add(batch.column(self.wanted.target))
                if rows < _HEAD:
                    head.append(batch)
                if self.progress is not None:
                    nothing = Chunk(np.empty((batch.num_rows, 0)))
                    self.progress(Piece(number, self.parts[number].name, rows, nothing))
                rows += batch.num_rows
                yield batch.select(features)

        try:
            if known:
                collections.deque(beside(), 0)
            else:
                self.encoder.learn(beside(), self.memory // _SHARE, at_least)
        except Unfit:
            raise
        except ValueError as error:
            raise ValueError(with_places(str(error), self.tables.place)) from error
        self.coder = labels.coder(self.tables.place)
        import pyarrow

        self.head = pyarrow.Table.from_batches(head).slice(0, _HEAD)
        if self.classes is None:
            self.classes = self.coder.classes[0]

    def learned(self):
        """The results of `learn` that a cache of the rows keeps."""
        return self.encoder.to_dict()

    def recall(self, kept):
        """Restore the results that `learned` returned."""
        self.encoder = type(self.encoder).from_dict(kept)

    def parts_to_read(self):
        """Each file with the encoder and the labels that were learned from all files."""
        return [part._replace(read=partial(_chunks, self._only(i))) for i, part in enumerate(self.parts)]

    def _only(self, number):
        one = copy.copy(self)
        one.tables, one.parts = self.tables.only(number), [self.parts[number]]
        one.client = one.head = one.progress = one._stamps = None
        one.on_learned = nothing
        return one

    def pieces(self, labelled=True):
        if labelled:
            self.learn()
        wanted, names = self.wanted, self.encoder.get_feature_names_out().tolist()
        types = types_of(self.encoder)
        if labelled:
            types[wanted.target] = self.coder.values.type
        start, before, part = 0, 0, 0
        self._check_unchanged()
        for X, batch, number in self.encoded(self._beside if labelled else (), types):
            part, before = (part, before) if number == part else (number, start)
            place = lambda row, start=start: self.tables.place(start + row)  # noqa: E731
            y = self.coder(batch.column(wanted.target)) if labelled else None
            weight = wanted.weight if labelled else None
            s = None if weight is None else weights_of(weight, batch.column(weight), place)
            yield Piece(number, self.parts[number].name, start - before, Chunk(X, y, s, names, ("float64",)))
            start += batch.num_rows
        self._check_unchanged()

    def encoded(self, beside, types):
        """Yield triples (matrix, record batch, number of the file): batches, read with these types, of the
        columns that the encoder needs and of those `beside`, and their encoding.
        """
        used, self.counts = self.encoder.matched(self._features)
        here = set(self._features)
        read = dict.fromkeys([*(column.name for column in used if column.name in here), *beside])
        start = 0
        for number, batch in self.tables.batches(types, list(read), self._most()):
            try:
                X, counts = encode_batch(used, batch, self.encoder.sparse_, start)
            except ValueError as error:
                raise ValueError(with_places(str(error), self.tables.place)) from error
            self.counts.add(counts)
            yield X, batch, number
            start += batch.num_rows

    def _most(self):
        """The number of rows that are encoded at once."""
        slots = len(self.encoder.columns_) if self.encoder.sparse_ else self.encoder.n_features_out_
        return max(self.wanted.batch // (8 * max(slots, 1)), 1)


def _chunks(source):
    for piece in source.pieces():
        yield piece.chunk


def types_of(encoder):
    """The types of text columns for an encoder: numbers as numbers, levels as text, as they are written."""
    kinds = {column.name: column for column in encoder.columns_}
    numbers = {name: column.kind for name, column in kinds.items() if isinstance(column, Number)}
    return numbers | {name: "text" for name, column in kinds.items() if isinstance(column, Levels)}
