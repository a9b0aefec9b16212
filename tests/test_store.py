"""Blocks on disk: in order whoever works on them, whole or told, and nothing lost after an error."""

import itertools
import os
import time

import numpy as np
import pytest

from logreg_accel import scan
from logreg_accel.backends import NUMBA_FROM_BYTES, get_backend, passes
from logreg_accel.data import packed
from logreg_accel.losses import loss_of
from logreg_accel.rows import StreamRows, cache, opened, store
from logreg_accel.rows.checked import Damaged, checksums_for, read_whole


@pytest.fixture
def streamed(monkeypatch):
    """Many blocks, none of which is kept."""
    monkeypatch.setattr(packed, "BLOCK", 1 << 13)
    monkeypatch.setattr(cache, "room_at_first", lambda memory: 0)
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((5000, 8)), rng.integers(0, 2, 5000)
    with opened(scan(lambda: [(X[:3000], y[:3000]), (X[3000:], y[3000:])])) as blocks:
        assert len(blocks.store.sizes) > 30
        yield blocks


def test_each_block_is_given_in_order(streamed):
    """This holds whichever block takes longest, for all blocks and for some in a given order."""
    blocks = [(X.stored.copy(), codes.copy()) for X, codes, _ in streamed.store.blocks()]

    def work(place, X, codes, s):
        time.sleep(0.002 * (place % 3 == 0))
        return place, X.stored.copy(), codes.copy()

    for numbers in (None, [4, 0, 9, 9]):
        wanted = blocks if numbers is None else [blocks[i] for i in numbers]
        given = list(streamed.store.each(work, numbers))
        assert [place for place, _, _ in given] == list(range(len(wanted)))
        for (_, X, codes), (X_wanted, codes_wanted) in zip(given, wanted, strict=True):
            np.testing.assert_array_equal(X, X_wanted)
            np.testing.assert_array_equal(codes, codes_wanted)


def test_after_an_error_or_a_break_all_buffers_are_there(streamed):
    def fails(place, X, codes, s):
        if place == 5:
            raise RuntimeError("of the work")
        return place

    with pytest.raises(RuntimeError, match="of the work"):
        list(streamed.store.each(fails))
    assert streamed.store._buffers.free == store.AT_ONCE
    for begun in (streamed.store.each(lambda place, *block: place), streamed.store.blocks()):
        assert len(list(itertools.islice(begun, 3))) == 3
        begun.close()
        assert streamed.store._buffers.free == store.AT_ONCE


@pytest.mark.parametrize("n_threads", [2, 3, 8])
def test_blocks_beside_each_other_have_the_bits_of_one_after_the_other(streamed, n_threads):
    rng = np.random.default_rng(1)
    W, V, loss = rng.standard_normal((9, 1)), rng.standard_normal((9, 1)), loss_of(2)
    asked = [passes.LossGradient(W, loss, keep_margins=True), passes.ColumnSquares(), passes.Margins(W)]
    one, many = (StreamRows(streamed, get_backend("numba", 0, n_threads=n)[0]) for n in (1, n_threads))
    assert one.backend.beside(asked[0], 3) is None and many.backend.beside(asked[0], 3) is not None
    for pass_ in asked:
        here, there = one.sum(pass_), many.sum(pass_)
        if pass_ is asked[0]:
            np.testing.assert_array_equal(here.gradient, there.gradient)
            np.testing.assert_array_equal(one.to_host(here.margins), many.to_host(there.margins))
            known = passes.HessianVector(W, V, loss, margins=here.margins)
            np.testing.assert_array_equal(one.sum(known), many.sum(known))
        elif pass_.of_rows:
            np.testing.assert_array_equal(one.to_host(here), many.to_host(there))
        else:
            np.testing.assert_array_equal(here, there)


@pytest.mark.parametrize("size", [64, packed.PIECE, 130 * packed.PIECE + 192])
def test_a_read_by_compiled_loops_finds_all_damage(tmp_path, size):
    """As the array code does: every flipped bit, every cut, and a place beyond the end."""
    rng = np.random.default_rng(0)
    written = packed.buffer_of(size)
    written[:] = rng.integers(256, size=size)
    sums = checksums_for(NUMBA_FROM_BYTES)(written)
    path, front = tmp_path / "blocks", 77
    path.write_bytes(bytes(front) + written.tobytes())
    file = os.open(path, os.O_RDWR)
    try:
        for nbytes in (0, NUMBA_FROM_BYTES):
            got = packed.buffer_of(size)
            assert read_whole(file, got, front, sums, nbytes) == size
            np.testing.assert_array_equal(got, written)
            for place in {0, size // 2, size - 1}:
                os.pwrite(file, bytes([written[place] ^ 4]), front + place)
                with pytest.raises(Damaged, match="checksum"):
                    read_whole(file, got, front, sums, nbytes)
                os.pwrite(file, bytes([written[place]]), front + place)
            with pytest.raises(Damaged, match="too early"):
                read_whole(file, got, front + 8, sums, nbytes)
            assert read_whole(file, got, front, sums, nbytes) == size
    finally:
        os.close(file)
