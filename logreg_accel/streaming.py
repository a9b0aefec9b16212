"""Fits whose X is a source: rows that are read from blocks, within a memory budget."""

import contextlib
import dataclasses
from functools import partial

import numpy as np

from .backends.threads import available_threads
from .checkpoint import opened as opened_checkpoint
from .cluster.collections import is_collection, source_of
from .cluster.rows import ClusterRows
from .cluster.rows import opened as opened_on_workers
from .data import as_labelled
from .data.rounded import warn_rounded
from .data.scan import Source
from .rows import MemoryRows, Relabelled, Streamed, StreamRows, opened
from .rows.cache import room_for_blocks
from .rows.store import Store
from .rows.stream import most_of_proof
from .solvers import SOLVERS, Whole, least, sgd, sparing, sparing_reads
from .solvers.memory import Growing, Shape, in_units, needed

_MAY_CHANGE = {"callback", "max_iter", "max_passes", "max_seconds", "n_threads", "verbose"}
"""Parameters that may differ when a fit continues from a checkpoint."""

_FOR_SOLVER = 0.42  # share of the memory for the solver; the rest is for blocks and margins
_FEWER_ROWS = 100, 50, 25, 12  # rows of a sample per parameter that are tried: a few more reads each
_COPIES, _MARGINS = 2, 4  # largest number of copies of blocks, and of points whose margins are kept


@contextlib.contextmanager
def labelled_rows(model, X, y, sample_weight, offset=None, own=True):
    """A context with the rows and labels of a fit, for as long as they are read: a Labelled or a Streamed.

    `own` is whether the classes of the fit are those of a source, which has labels in any case.
    """
    for name in ("encoder_", "aside_", "threshold_"):  # attributes of an earlier fit
        vars(model).pop(name, None)
    if is_collection(X):
        X, y, sample_weight = source_of(X, y, sample_weight), None, None
    if not isinstance(X, Source):
        matrix = model._matrix(X, reset=True)
        yield as_labelled(matrix, y, sample_weight, model.class_weight, offset=offset)
        return
    _check_stream(model, y, sample_weight, offset)
    check = partial(_check_growing, model, own, X.memory)
    with (opened if X.client is None else opened_on_workers)(X, model.class_weight, check) as labelled:
        warn_rounded(labelled.rounded)
        model._remember_features(labelled.names, labelled.block.X.shape[1])
        if X.encoder is not None:
            model.encoder_ = X.encoder
        yield labelled


def _check_stream(model, y, sample_weight, offset):
    """Raise an error for labels or weights beside a source, which has its own, and for solvers that cannot
    read one."""
    for name, given in (("y", y), ("sample_weight", sample_weight), ("offset", offset)):
        if given is not None:
            raise TypeError(
                f"`{name}` is given beside a source, which has its own labels and weights; expected None."
            )
    if model.solver == "sgd" or isinstance(model.solver, sgd):
        raise ValueError(
            "`solver` is 'sgd', which needs its rows in memory; expected another solver for a source: "
            "'auto' takes a handful of reads."
        )


@contextlib.contextmanager
def checkpointed(path, rows, model, labelled, chosen):
    """A context in which sums over the rows are logged in a file, where the next fit finds them.

    Parameters
    ----------
    path : path-like or None
        With None, nothing is logged.
    rows : Rows
    model : estimator
    labelled : Labelled or Streamed
    chosen : sequence of str
        The names of the backend and the solver.
    """
    if path is None:
        yield
        return
    backend, solver = map(str, chosen)
    if solver == "sgd":
        raise ValueError(
            "`checkpoint` is given with solver 'sgd', which cannot keep one; expected another solver."
        )
    parameters = {
        name: repr(value) for name, value in model.get_params(deep=False).items() if name not in _MAY_CHANGE
    }
    versions = {"logreg_accel": _version(), "numpy": np.__version__}
    facts = parameters | versions | {"backend": backend, "solver": solver, "data": labelled.fingerprint()}
    with opened_checkpoint(path, facts) as rows.log:
        yield


def _version():
    from . import __version__

    return __version__


def is_streamed(labelled):
    """Whether rows are read anew on every pass."""
    return isinstance(labelled, Streamed | Relabelled)


def check_room(labelled, solver, n_outputs, n_models=1):
    """Return the bytes that a solver needs beside the blocks, or raise MemoryError if `memory` has fewer."""
    if is_streamed(labelled):
        shape, room = _shape(labelled, n_outputs), _room(labelled, n_outputs)
        wanted = needed(solver, shape) + (n_models - 1) * shape.beside_others()
        if wanted > room:
            fits = n_models == 1 and needed(SOLVERS["lbfgs"](), shape) <= room
            _refuse(_name_of(solver), wanted, room, labelled.memory, labelled.taken, fits)
        return wanted
    return 0


def _check_growing(model, own, memory, so_far):
    """Raise MemoryError if what is known so far shows that `check_room` will, whatever is still to come."""
    n_outputs = so_far.n_classes if own and so_far.n_classes > 2 else 1
    shape = Growing(0, max(so_far.n_features, 1), n_outputs, so_far.nbytes, real=0)
    solver = least("projected-newton" if model.bounds is not None else model.solver)
    wanted, room = needed(solver, shape), _room_of(memory, so_far.nbytes, so_far.n_rows, n_outputs)
    if wanted > room:
        name = _name_of(solver)
        fits = name != "fista" and needed(SOLVERS["lbfgs"](), shape) <= room
        m, n = so_far.n_rows, so_far.n_features
        shown = f"first {m:,} rows show" if m else f"{n:,} columns show"
        _refuse(name if name != "fista" else "every solver", wanted, room, memory, 0, fits, shown)


def _name_of(solver):
    return next(name for name, kind in SOLVERS.items() if isinstance(solver, kind))


def _refuse(who, wanted, room, memory, taken, fits, shown=""):
    """Raise MemoryError; `fits` is whether a solver without a Hessian would have room, and `shown` what told,
    if not all rows are known."""
    hint = ", or take solver='lbfgs' or, with L1, 'fista'" if fits else ""
    least, most, told = ("at least ", "at most ", f", as the {shown}") if shown else ("", "", "")
    raise MemoryError(
        f"{who} needs {least}{in_units(wanted)} beside the blocks, and `memory` of "
        f"{in_units(memory + taken)} leaves {most}{in_units(room)}{told}. Raise it to "
        f"{least}{in_units(taken + wanted / _FOR_SOLVER + 1e6)}{hint}."
    )


def keep_blocks(labelled, beside):
    """Let blocks stay in memory as far as the bytes `beside` them, for the solver of a single fit, allow."""
    if isinstance(labelled, Streamed) and isinstance(labelled.store, Store):
        labelled.store.allow(room_for_blocks(labelled.memory, beside))


def with_room(labelled, chosen, n_outputs, asked, l1):
    """Return the solver of a fit to a source, its name and the reason.

    If "auto" was `asked`, the solver is one that takes fewer reads than the one `chosen`. If that needs more
    memory than there is, it gets smaller samples; if these do not fit either, a solver without a Hessian is
    used. So the same source gives the same bits with any memory that is not too small for the first choice.
    """
    if not (is_streamed(labelled) and isinstance(asked, str) and asked == "auto"):
        return chosen
    chosen = sparing_reads(chosen, _whole(labelled, n_outputs))
    shape, room = _shape(labelled, n_outputs), _room(labelled, n_outputs)
    if needed(chosen[0], shape) <= room:
        return chosen
    short = f"`memory` leaves {in_units(room)}: too little for {chosen[1]} with "
    for rows in _FEWER_ROWS:
        if rows < getattr(chosen[0], "rows_per_parameter", 0):
            smaller = dataclasses.replace(chosen[0], rows_per_parameter=rows)
            if needed(smaller, shape) <= room:
                return smaller, chosen[1], short + f"more than {rows} rows per parameter in a sample"
    last = sparing(shape, l1)
    if needed(last, shape) > room:  # the error names what the first choice needs: others take far more reads
        return chosen
    return last, _name_of(last), short + "its Hessian"


def _whole(labelled, n_outputs):
    """The sizes of a source, on which the cost of a read depends."""
    store = labelled.store
    m, n = store.shape
    bytes_of_entry = store.dtype.itemsize + (4 if store.kind.sparse else 0)
    return Whole(m, n, n_outputs, store.nbytes, max(store.nbytes / m / bytes_of_entry, 1))


def _shape(labelled, n_outputs):
    """The Shape of the rows that a solver may hold."""
    m, n = labelled.store.shape
    row = labelled.store.nbytes / m
    proof = most_of_proof(labelled.store.nbytes, labelled.memory)
    m = min(m, int(proof / row * (n + 1) * n_outputs / 2.5))  # no more rows than a proof may use
    return Shape(m, n, n_outputs, int(m * row), real=0, threads=available_threads())


def _room(labelled, n_outputs):
    """Bytes for a solver beside all blocks."""
    return _room_of(labelled.memory, labelled.store.nbytes, labelled.store.shape[0], n_outputs)


def _room_of(memory, nbytes, n_rows, n_outputs):
    """Bytes for a solver: a share of the memory, or more if blocks and margins leave more."""
    beside = _COPIES * (nbytes + 8 * _MARGINS * n_rows * n_outputs)
    return max(_FOR_SOLVER * memory, memory - beside)


def rows_of(labelled, backend, centring):
    """The Rows of a fit."""
    if is_streamed(labelled):
        kind = StreamRows if isinstance(labelled.store, Store) else ClusterRows
        return kind(labelled, backend, centring)
    return MemoryRows([labelled.block], backend, len(labelled.classes), centring, labelled.counts)
