"""Sums added in the order of a binary tree over parts: the same bits, whichever worker adds them and when."""

from ..backends.passes import joined


class Tree:
    """Sums of parts; neighbours are added as soon as both are known.

    Node (level, i) is the sum of the parts from i·2^level up to (i + 1)·2^level; a run of adjacent parts
    consists of only a few nodes, however many parts there are.

    Parameters
    ----------
    pass_ : Pass
        The pass of the sums.
    """

    def __init__(self, pass_):
        self.pass_, self.nodes = pass_, {}

    def add(self, sums, i, level=0):
        """Add the sums of part i, or of a node that was made elsewhere."""
        while (level, i ^ 1) in self.nodes:
            other = self.nodes.pop((level, i ^ 1))
            pair = [other, sums] if i & 1 else [sums, other]
            sums, i, level = joined(self.pass_, pair, None), i >> 1, level + 1
        self.nodes[level, i] = sums

    def total(self):
        """The sum of all parts that there are, or None."""
        while len(self.nodes) > 1:
            level, i = min(self.nodes)
            self.add(
                self.nodes.pop((level, i)), i >> 1, level + 1
            )  # a missing node is a part beyond the last one, or without rows
        return next(iter(self.nodes.values()), None)


class InOrder:
    """Sums of blocks, one after the other."""

    def __init__(self, pass_):
        self.pass_, self.sums = pass_, None

    def add(self, sums):
        """Add the sums of the next block."""
        self.sums = sums if self.sums is None else joined(self.pass_, [self.sums, sums], None)

    def total(self):
        """The sum of all blocks that were added, or None."""
        return self.sums


class ByPart(InOrder):
    """Sums of blocks that come in order: in order within a part, and the parts in a Tree.

    Parameters
    ----------
    pass_ : Pass
    parts : iterable of int
        The part of every block, those of one part in a row.
    """

    def __init__(self, pass_, parts):
        super().__init__(pass_)
        self.parts, self.part, self.tree = iter(parts), None, Tree(pass_)

    def add(self, sums):
        part = next(self.parts)
        if part != self.part:
            self._close()
            self.part = part
        super().add(sums)

    def _close(self):
        if self.sums is not None:
            self.tree.add(self.sums, self.part)
        self.sums = None

    def nodes(self):
        """Those of the Tree."""
        self._close()
        return self.tree.nodes

    def total(self):
        self._close()
        return self.tree.total()
