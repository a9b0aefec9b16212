"""Budgets that are too small for a source are refused as soon as its first rows show it."""

import itertools
import os
from functools import partial

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import scipy.sparse
from workers import Here

from logreg_accel import LogisticRegression, LogisticRegressionCV, TableEncoder, fit_many, scan, solvers
from logreg_accel.cli import main
from logreg_accel.solvers import SOLVERS, least
from logreg_accel.solvers.memory import Growing, Shape, needed

CHUNKS = 12


class Counted:
    """Chunks of 8 MB, which a block just holds, and how many of them were taken."""

    def __init__(self, X):
        self.X, self.taken = X, 0

    def __call__(self):
        for i in range(CHUNKS):
            self.taken += 1
            yield self.X, (np.arange(self.X.shape[0]) + i) % 2


def dense():
    return Counted(np.random.default_rng(0).standard_normal((500, 2200)))


def sparse():
    rng, m, n = np.random.default_rng(0), 20_000, 1_000_000
    return Counted(
        scipy.sparse.csr_array(
            (rng.random(40 * m), rng.integers(n, size=40 * m), 40 * np.arange(m + 1)), (m, n)
        )
    )


@pytest.mark.parametrize(
    "chunks, settings, who",
    [
        (dense, {"solver": "newton-cholesky"}, "newton-cholesky"),
        (dense, {"solver": solvers.prox_newton(), "l1_ratio": 1}, "prox-newton"),
        (dense, {"bounds": (0, None)}, "projected-newton"),
        (sparse, {}, "every solver"),
        (sparse, {"l1_ratio": 0.5}, "every solver"),
    ],
)
@pytest.mark.parametrize("cached", [False, True])
def test_a_budget_without_room_is_refused_after_the_first_block(tmp_path, chunks, settings, who, cached):
    chunks, cache = chunks(), tmp_path / "cache" if cached else None
    model = LogisticRegression(**settings)
    with pytest.raises(
        MemoryError, match=f"^{who} needs at least .* as the first [0-9,]+ rows show. Raise it to at least"
    ):
        model.fit(scan(chunks, memory="100MB", cache=cache))
    assert chunks.taken <= 3 and not os.listdir(tmp_path) and not hasattr(model, "coef_")


def test_a_budget_is_refused_once_blocks_leave_too_little(tmp_path):
    """At first blocks may still turn out to leave the memory to the solver, and twelve of 8 MB do not."""
    chunks = dense()
    for i, (X, y) in enumerate(chunks()):
        np.savez(tmp_path / f"{i:02}.npz", X=X, y=y)
    wanted = needed(SOLVERS["newton-cholesky"](), Growing(0, 2200, 1, 1 << 23, real=0))
    read, source = [], scan(tmp_path, memory=int(1.2 * wanted))
    source.progress = read.append
    with pytest.raises(MemoryError, match="newton-cholesky needs at least .* or take solver='lbfgs'"):
        LogisticRegression(solver="newton-cholesky").fit(source)
    assert 1 < len(read) < CHUNKS


def test_the_command_line_refuses_early(tmp_path, capsys):
    for i, (X, y) in enumerate(dense()()):
        np.savez(tmp_path / f"{i:02}.npz", X=X, y=y)
    given = [str(tmp_path / "*.npz"), "--target", "y", "--memory", "100MB", "--solver", "newton-cholesky"]
    cache = tmp_path / "cache"
    code = main(["train", *given, "--model", str(tmp_path / "m.npz"), "--cache", str(cache)])
    assert code and "newton-cholesky needs at least" in capsys.readouterr().err
    assert not cache.exists() and not (tmp_path / "m.npz").exists()


def test_workers_are_asked_for_no_block_if_the_first_row_shows_it(tmp_path):
    """With few columns, some files have to be read before their classes and bytes show it."""
    for i, (X, y) in enumerate(dense()()):
        np.savez(tmp_path / f"{i:02}.npz", X=X, y=y)
    pool = Here(2)
    with pytest.raises(MemoryError, match="newton-cholesky needs at least .* as the 2,200 columns show"):
        LogisticRegression(solver="newton-cholesky").fit(scan(tmp_path, memory="100MB", client=pool))
    assert pool.calls <= 3
    wanted = needed(SOLVERS["newton-cholesky"](), Growing(0, 2200, 1, 1 << 23, real=0))
    with pytest.raises(MemoryError, match="newton-cholesky needs at least .* as the first [0-9,]+ rows show"):
        LogisticRegression(solver="newton-cholesky").fit(
            scan(tmp_path, memory=int(1.2 * wanted), client=Here(2))
        )


def tables(folder, parts=6, rows=400, numbers=1800):
    """Files of numbers, of whole ones among them, and of a column that numbers the rows."""
    rng = np.random.default_rng(0)
    for i in range(parts):
        columns = {f"x{j}": rng.standard_normal(rows) for j in range(numbers)}
        columns |= {f"n{j}": rng.integers(5, size=rows) for j in range(numbers // 6)}
        columns |= {"at": i * rows + np.arange(rows), "y": rng.integers(2, size=rows)}
        pyarrow.parquet.write_table(pyarrow.table(columns), folder / f"{i}.parquet")


@pytest.mark.parametrize("client", [None, 2])
def test_columns_of_a_table_show_it_while_they_are_learned(tmp_path, client):
    tables(tmp_path)
    source, read = scan(tmp_path, target="y", memory="100MB", encoder=TableEncoder(), client=client), []
    source.progress = read.append
    with pytest.raises(MemoryError, match="newton-cholesky needs at least .* as the first [0-9,]+ rows show"):
        LogisticRegression(solver="newton-cholesky").fit(source)
    assert len(read) < 3 and {piece.part for piece in read} == {0}


def test_levels_show_it_after_they_are_learned_and_a_known_encoder_before(tmp_path):
    """Texts may still turn out to identify the rows, and then they are no features."""
    rng = np.random.default_rng(0)
    for i in range(3):
        columns = {"a": [f"level {j}" for j in rng.integers(2500, size=30_000)], "y": np.arange(30_000) % 2}
        pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / f"{i}.parquet")
    parts, encoder = [], TableEncoder()
    for known in (False, True):
        source = scan(tmp_path, target="y", memory="100MB", encoder=encoder)
        source.progress = parts.append
        with pytest.raises(MemoryError, match="newton-cholesky needs at least .* as the 2,500 columns show"):
            LogisticRegression(solver="newton-cholesky").fit(source)
        order = [piece.part for piece in parts]
        assert order == sorted(order) and (not known or not order)  # one read, or none
        parts.clear()
        encoder = source.encoder


@pytest.mark.parametrize("chosen", [False, True])
def test_features_that_are_certain_are_no_more_than_there_are_in_the_end(chosen):
    rng, told = np.random.default_rng(0), []
    encoder = TableEncoder(categorical=["few"] if chosen else [])

    def pieces():
        for i in range(20):
            rows = np.arange(50 * i, 50 * i + 50)
            yield pyarrow.table(
                {
                    "few": [f"l{j}" for j in rng.integers(30, size=50)],
                    "id": rng.permutation(50) + 50 * i,
                    "rises": rows,
                    "same": np.ones(50),
                    "later": np.where(rows < 700, 1.0, rows),
                    "holes": [None if j % 7 == 0 else 3 for j in rows],
                    "true": rows % 3 == 0,
                    "count": rng.integers(9, size=50),
                }
            )

    encoder.learn(pieces(), at_least=lambda *known: told.append(known))
    rows, features = zip(*told, strict=True)
    assert rows[0] == 50 and all(after >= 2 * before for before, after in itertools.pairwise(rows))
    assert features[0] >= 3 and max(features) <= encoder.n_features_out_
    assert max(features) > 20 if chosen else max(features) < 10


def test_many_models_refuse_early_too():
    chunks = dense()
    settings = {"solver": "newton-cholesky"}
    for fit in (
        lambda source: LogisticRegressionCV(Cs=[1.0], cv=2, **settings).fit(source),
        lambda source: fit_many(source, np.zeros((CHUNKS * 500, 1)), **settings),
    ):
        chunks.taken = 0
        with pytest.raises(MemoryError, match="newton-cholesky needs at least"):
            fit(scan(chunks, memory="100MB"))
        assert chunks.taken <= 3


@pytest.mark.filterwarnings("ignore:The number of unique classes")
def test_labels_beside_a_source_count_in_place_of_its_own():
    """A source may have many classes of which the models know nothing."""
    rng, m = np.random.default_rng(0), 6000
    X, own = rng.standard_normal((m, 200)), np.arange(m) % 3000
    chunks = partial(iter, [(X, own)])
    with pytest.raises(MemoryError, match="at least"):
        LogisticRegression(max_passes=1).fit(scan(chunks, memory="130MB"))
    targets = (X[:, :2] + rng.standard_normal((m, 2)) > 0).astype(int)
    fitted = fit_many(scan(chunks, memory="130MB"), targets)
    assert all(model.status_ == "converged" for model in fitted)


@pytest.mark.parametrize("name", sorted(set(SOLVERS) - {"sgd"}) + ["auto"])
def test_what_is_told_early_is_no_more_than_what_is_needed_in_the_end(name):
    """More rows, columns and classes come, and matrices that some solvers then no longer form go."""
    rng = np.random.default_rng(0)
    for _ in range(500):
        m, n, k, row = (int(2 ** rng.uniform(0, most)) for most in (20, 12, 4, 12))
        early = needed(least(name), Growing(0, n, k, m * row, real=0))
        more = [int(size * 2 ** rng.choice([0, rng.uniform(0, 4)])) for size in (m, n, k, m * row)]
        shape = Shape(*more, real=0)
        for solver in SOLVERS if name == "auto" else [name]:
            settings = SOLVERS[solver]
            made = settings.for_shape(*shape[:3]) if hasattr(settings, "for_shape") else settings()
            assert early <= needed(made, shape) or solver == "sgd"
