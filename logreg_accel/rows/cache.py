"""The cache of blocks: a folder for each set of inputs, which the next fit on the same inputs finds.

It is made under another name and renamed when it is complete, and everything in it has a checksum. A lock
distinguishes a cache in the making from the remains of a killed fit.
"""

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import tempfile

import numpy as np

from ..data import packed as p
from .checked import INDEX, forget
from .store import Store
from .streamed import Streamed

_FORMAT = 4
RESIDENT = 0.33
"""Share of the memory, without that for reading, that blocks may take at first."""

TOGETHER = 0.9
"""Share of the memory for blocks together with what else is needed, once that is known."""

_BESIDE = 12 * p.BLOCK  # buffers into which blocks are read, readers of tables, what the allocator keeps

_BLOCKS = "blocks"


def room_at_first(memory):
    """Bytes of blocks that may stay in memory before the needs of the solver are known."""
    return max(int(RESIDENT * (memory - _BESIDE)), 0)


def room_for_blocks(memory, beside):
    """Bytes of blocks that may stay in memory beside a number of other bytes."""
    return max(int(TOGETHER * memory) - beside - _BESIDE, 0)


def folder_of(cache, stamp):
    known = json.dumps([_FORMAT, p.BLOCK, p.PIECE, stamp], sort_keys=True)
    return os.path.join(cache, f"logreg_accel-{hashlib.sha256(known.encode()).hexdigest()[:24]}")


def make(cache):
    """The user's folder, which is created if it does not exist; OSError says what is expected."""
    try:
        os.makedirs(cache, exist_ok=True)
        with tempfile.TemporaryFile(dir=cache):
            pass
    except OSError as error:
        told = f"`cache` cannot be used ({error.strerror}); expected a writable folder"
        raise type(error)(error.errno, told, cache) from error


def new_folder(cache):
    import fcntl

    make(cache)
    for name in os.listdir(cache):
        if name.startswith("logreg_accel-") and name.endswith(".tmp"):
            _remove_left_behind(os.path.join(cache, name))
    while True:
        working = os.path.join(cache, f"logreg_accel-{secrets.token_hex(8)}.tmp")
        os.mkdir(working)
        file = os.open(os.path.join(working, _BLOCKS), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o666)
        # Until it is locked, another fit takes it for the remains of a killed one and removes it.
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.exists(os.path.join(working, _BLOCKS)):
                return working, file
        os.close(file)


def _remove_left_behind(folder):
    import fcntl

    with contextlib.suppress(OSError):
        file = os.open(os.path.join(folder, _BLOCKS), os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder)
        finally:
            os.close(file)


def publish(streamed, working, folder, stamp, learned=None):
    """Make the cache complete, flushed to the disk, and give it its name."""
    store = streamed.store
    os.fsync(store.file)
    text = [isinstance(label, str) for label in streamed.classes.tolist()]
    classes = streamed.classes.astype(str) if any(text) else streamed.classes
    facts = {
        "names": streamed.names,
        "n_features": store.n_features,
        "object": streamed.classes.dtype == object,
    }
    facts |= {"kind": [store.kind.dtype.name, store.kind.sparse, store.kind.weighted], "stamp": stamp}
    facts |= {"learned": learned, "rounded": list(streamed.rounded.items())}
    arrays = {f"totals_{i}": values for i, values in enumerate(streamed.totals)}
    arrays |= {
        "parts": np.array(store.parts),
        "layouts": np.array(store.layouts),
        "sizes": np.array(store.sizes),
        "offsets": np.array(store.offsets),
    }
    arrays |= {"sums": np.concatenate(store.sums), "classes": classes, "places": streamed.places}
    with open(os.path.join(working, INDEX), "wb") as file:
        np.savez(file, facts=np.array(json.dumps(facts)), **arrays)
        file.flush()
        os.fsync(file.fileno())
    with contextlib.suppress(OSError):
        if os.path.exists(folder) and not os.path.exists(os.path.join(folder, INDEX)):
            shutil.rmtree(folder)  # a damaged one is replaced
    try:
        os.rename(working, folder)
    except OSError:  # another fit was faster: the file here stays open for as long as it is read
        shutil.rmtree(working, ignore_errors=True)
    store.folder = folder


def found(source):
    """The Streamed of a complete cache of the same inputs, or None."""
    stamp = source.fingerprint()
    folder = None if stamp is None else folder_of(source.cache, stamp)
    if folder is None or not os.path.exists(os.path.join(folder, INDEX)):
        return None
    try:
        return _loaded(source, folder, stamp)
    except Exception:  # damaged in any way: it is made again
        forget(folder)
        return None


def _loaded(source, folder, stamp):
    with np.load(os.path.join(folder, INDEX), allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    facts = json.loads(str(arrays["facts"]))
    name, sparse, weighted = facts["kind"]
    file = os.open(os.path.join(folder, _BLOCKS), os.O_RDONLY | os.O_CLOEXEC)
    store = Store(p.Kind(_dtype(name), sparse, weighted), folder, file)
    try:
        sizes = arrays["sizes"].tolist()
        if facts["stamp"] != json.loads(json.dumps(stamp)) or os.fstat(file).st_size != sum(sizes):
            raise ValueError("not these inputs, or not all of the blocks")
        counts = [-(-size // p.PIECE) for size in sizes]
        store.sums = np.split(arrays["sums"], np.cumsum(counts)[:-1])
        store.n_features, store.sizes, store.offsets = facts["n_features"], sizes, arrays["offsets"].tolist()
        store.parts = arrays["parts"].tolist()
        store.layouts = [tuple(layout) for layout in arrays["layouts"].tolist()]
        store.allow(room_at_first(source.memory))
        classes = arrays["classes"].astype(object) if facts["object"] else arrays["classes"]
        totals = tuple(arrays[f"totals_{i}"] for i in range(4))
        source.recall(facts["learned"])
        known = store, facts["names"], classes, arrays["places"], totals, source.memory
        return Streamed(*known, rounded=dict(facts["rounded"]))
    except BaseException:
        store.close()
        raise


def _dtype(name):
    if name == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(name)
