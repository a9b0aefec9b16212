"""The shape of the house: imports point one way, heavy libraries load late, every way of installing works."""

import ast
import dataclasses
import doctest
import importlib
import inspect
import os
import re
import shutil
import subprocess
import sys
import traceback
import zipfile
from pathlib import Path

import pytest

import logreg_accel
from logreg_accel.backends import passes
from logreg_accel.losses import Logistic

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "logreg_accel"

# what a room may import of ours
ROOMS = {
    "kernels": set(),
    "losses": set(),
    "penalty": set(),
    "parameters": {"penalty"},
    "coordinates": set(),
    "history": set(),
    "clock": set(),
    "data": set(),
    "solvers": {"clock"},
    "backends": {"clock", "data", "losses", "kernels"},
    "rows": {"backends", "data"},
    "duality": {"clock"},
    "systems": {"backends", "solvers"},
    "repair": {"duality", "metric", "solvers", "systems", "tangent", "walk", "witnesses"},
    "walk": {"solvers"},
    "tangent": {"duality", "metric", "solvers"},
    "metric": {"backends"},
    "ascent": {"backends", "solvers"},
    "between": {"backends"},
    "orthants": {"backends", "clock"},
    "descent": {"backends", "clock", "orthants"},
    "elimination": {"clock", "metric"},
    "woodbury": {"metric"},
    "unsummed": set("ascent backends between descent duality elimination rows solvers woodbury".split()),
    "objective": set("backends between coordinates data elimination losses metric penalty rows".split())
    | {"solvers", "unsummed"},
    "separation": {"duality", "metric", "solvers"},
    "box": {"certificate", "duality", "metric", "separation", "solvers", "systems"},
    "witnesses": set(),
    "certificate": set("duality history metric repair separation solvers systems witnesses".split()),
    "driver": {"box", "certificate", "clock", "history", "rounding", "separation", "session", "solvers"},
    "rounding": {"history", "metric", "solvers"},
    "leads": {"backends"},
    "rays": {"clock", "leads", "objective", "rounding", "rows", "separation", "solvers"},
    "apart": set("backends clock leads objective penalty rays rows separation".split()),
    "one_sided": set("apart clock driver history leads rays session solvers".split()),
    "session": {"backends", "clock", "solvers"},
    "small": {"backends", "clock", "coordinates", "driver", "history", "metric", "session", "solvers"},
    "checkpoint": {"backends"},
    "cluster": {"backends", "data", "rows"},
    "streaming": {"__init__", "backends", "checkpoint", "cluster", "data", "rows", "solvers"},
    "fitting": set("options ascent backends clock data driver elimination history losses".split())
    | set("objective one_sided penalty small solvers streaming".split()),
    "interop": {"advice", "data", "driver", "estimator", "many"},
    "many": set("advice backends clock cluster data driver estimator fitting interop losses margins".split())
    | set("objective options parameters penalty prediction report rows session solvers streaming".split()),
    "margins": {"backends", "data"},
    "prediction": {"backends", "data", "interop", "losses", "margins"},
    "table": {"data"},
    "persistence": {"backends", "history", "parameters", "solvers", "table"},
    "estimator": {
        "advice",
        "backends",
        "incremental",
        "data",
        "driver",
        "export",
        "fitting",
        "history",
        "interop",
        "parameters",
        "persistence",
        "prediction",
        "solvers",
        "streaming",
    },
    "inference": set("backends data estimator export losses options penalty rows solvers".split()),
    "incremental": {"data", "fitting", "interop", "parameters", "solvers"},
    "advice": {"driver", "solvers"},
    "options": {"data", "solvers"},
    "export": {"backends", "persistence", "table"},
    "yardstick": {"backends", "data", "kernels"},
    "report": set(),
    "cli": {
        "inference",
        "__init__",
        "backends",
        "data",
        "estimator",
        "history",
        "parameters",
        "objective",
        "persistence",
        "solvers",
        "table",
        "yardstick",
        "many",
        "report",
    },
    "accelerate": {"backends", "interop"},
    "__init__": set(),
    "__main__": {"cli"},
}
# where a library may be imported
HOMES = {
    "numba": {"kernels/cpu"},
    "cupy": {"logreg_accel/backends/cupy"},
    "pyarrow": {
        "logreg_accel/data/binary.py",
        "logreg_accel/data/frames.py",
        "logreg_accel/data/gathering.py",
        "logreg_accel/data/opening.py",
        "logreg_accel/data/reader.py",
        "logreg_accel/data/tables.py",
        "logreg_accel/table",
    },
    "matplotlib": {"logreg_accel/report/drawing.py"},
    "onnx": {"logreg_accel/export/onnx.py"},
    "distributed": {"logreg_accel/cluster/dask.py", "logreg_accel/cluster/collections.py"},
    "rich": {"logreg_accel/cli/output.py"},
    "narwhals": {"logreg_accel/data/convert.py", "logreg_accel/inference/tables.py"},
    "threadpoolctl": {"logreg_accel/backends/threads.py", "logreg_accel/cli/doctor.py"},
}
LATE = {
    "onnx",
    "pyarrow",
    "rich",
    "narwhals",
    "threadpoolctl",
}  # the others are at the top of modules that load late
SOLVERS_MAY_IMPORT = {"numpy", "scipy"}


def modules():
    """Every Python file of the package and of the kernels; examples are scripts, not modules."""
    for folder in (PACKAGE, ROOT / "kernels"):
        yield from sorted(path for path in folder.rglob("*.py") if path.parent.name != "examples")


def room_of(path):
    relative = path.relative_to(ROOT)
    return "kernels" if relative.parts[0] == "kernels" else relative.parts[1].removesuffix(".py")


def imports_of(path):
    """(what is imported, whether at module level), relative imports made absolute."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    relative = path.relative_to(ROOT)
    package = (
        ("logreg_accel", *relative.parts[:-1]) if relative.parts[0] == "kernels" else relative.parts[:-1]
    )
    top = set(
        ast.walk(ast.Module([n for n in tree.body if not isinstance(n, ast.FunctionDef | ast.ClassDef)], []))
    )
    for_checkers = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in set(ast.walk(tree)) - for_checkers:
        if isinstance(node, ast.Import):
            for name in node.names:
                yield name.name, node in top
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, [base, node.module]))
            if module == "logreg_accel":
                for name in node.names:
                    home = logreg_accel._HOMES.get(name.name, name.name).split(".")[0]
                    yield f"logreg_accel.{'__init__' if home.startswith('__') else home}", node in top
            else:
                yield module, node in top


@pytest.mark.parametrize("path", list(modules()), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path):
    room = room_of(path)
    for name, at_top in imports_of(path):
        parts = name.split(".")
        if parts[0] == "logreg_accel":
            target = parts[1] if len(parts) > 1 else "__init__"
            assert target == room or target in ROOMS[room], f"{room} imports {name}"
        if room == "solvers" and parts[0] != "logreg_accel":
            assert parts[0] in SOLVERS_MAY_IMPORT | set(sys.stdlib_module_names), name
        if parts[0] in LATE:
            assert not at_top, f"{path} imports {name} before it is needed"
        if parts[0] in HOMES:
            assert any(str(path.relative_to(ROOT)).startswith(home) for home in HOMES[parts[0]]), (
                f"{path} imports {name}"
            )


def test_rooms_are_listed():
    assert {room_of(path) for path in modules()} == set(ROOMS)


@pytest.mark.parametrize(
    "code, late",
    [
        (
            "import logreg_accel",
            {"numpy", "scipy", "sklearn", "numba", "cupy", "pyarrow", "matplotlib", "narwhals"},
        ),
        (
            "from logreg_accel import LogisticRegression; LogisticRegression().fit([[0.0], [1.0]], [0, 1])",
            {"numba", "cupy", "matplotlib"},
        ),
    ],
)
def test_libraries_load_late(code, late):
    told = f"import sys\n{code}\nprint(sorted({late!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_public_names_are_there_and_others_are_not():
    assert logreg_accel.LogisticRegression and logreg_accel.Objective and logreg_accel.load
    assert set(logreg_accel.__all__) <= set(dir(logreg_accel))
    with pytest.raises(AttributeError, match="no attribute 'Logistics'"):
        logreg_accel.Logistics  # noqa: B018


USE = """
import numpy as np, logreg_accel
from logreg_accel.kernels import cpu, cuda
fit = logreg_accel.LogisticRegression(backend={backend!r}).fit([[0.0], [1.0]], [0, 1])
assert cpu.rows.read(np.ones((5, 3)), 0, 5) == 15
print(fit.predict([[1.0]])[0], "__global__" in cuda.source("pointwise.cu"), logreg_accel.__file__)
"""
# a loop that takes Numba a second stands for those of a fit, which take it ten wherever the files lie
FIT = [USE.format(backend="numpy"), pytest.param(USE.format(backend="numba"), marks=pytest.mark.slow)]


def _python(code, folder, path=None, *flags):
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | (
        {"PYTHONPATH": str(path)} if path else {}
    )
    done = subprocess.run(
        [sys.executable, *flags, "-c", code], cwd=folder, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the sources, so that building leaves nothing in the tree."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("logreg_accel", "kernels"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    return folder


@pytest.mark.parametrize("use", FIT, ids=["numpy", "numba"])
def test_a_plain_checkout_works(checkout, tmp_path, use):
    assert _python(use, tmp_path, checkout, "-P").startswith(f"1 True {checkout}")
    assert _python(use, checkout).startswith(f"1 True {checkout}")


@pytest.mark.parametrize("use", FIT, ids=["numpy", "numba"])
def test_a_wheel_holds_every_module_and_works(checkout, tmp_path, use):
    pytest.importorskip("setuptools", minversion="77")
    build = "from setuptools import build_meta; print(build_meta.build_wheel(%r))" % str(tmp_path)
    name = _python(build, checkout).splitlines()[-1]
    assert name.split("-")[1] == logreg_accel.__version__
    site = tmp_path / "site"
    with zipfile.ZipFile(tmp_path / name) as wheel:
        wheel.extractall(site)
        names = wheel.namelist()
    assert not [n for n in names if n.startswith(("kernels/", "tests/", "bench/"))]
    python = {
        str(p.relative_to(ROOT)).replace("kernels/", "logreg_accel/kernels/", 1)
        if room_of(p) == "kernels"
        else str(p.relative_to(ROOT))
        for p in modules()
    }
    assert python <= set(names)
    assert _python(use, tmp_path, site, "-P").startswith(f"1 True {site}")


def test_the_public_api_is_typed(tmp_path):
    """What a type checker is told of the public names holds when they run; CI checks the same file."""
    from typed_use import fit_and_save

    assert 0 <= fit_and_save(str(tmp_path / "model")) <= 1
    assert (PACKAGE / "py.typed").exists()
    classes = {"LogisticRegression", "LogisticRegressionCV", "Objective", "TableEncoder"}
    untyped = {"__version__", "solvers", "backends", "inference"} | classes
    for name in set(logreg_accel.__all__) - untyped:
        assert "return" in inspect.get_annotations(getattr(logreg_accel, name)), name


def test_docstring_examples():
    names = "estimator objective table.encoder inference.firth many.cv many.path many.several"
    for name in names.split():
        result = doctest.testmod(importlib.import_module(f"logreg_accel.{name}"))
        assert result.attempted > 0 and result.failed == 0


def test_top_level_is_fixed():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if tracked.returncode:
        pytest.skip("not a git checkout")
    top = {line.split("/")[0] for line in tracked.stdout.splitlines()}
    allowed = {
        "pyproject.toml",
        "logreg_accel",
        "kernels",
        "tests",
        "bench",
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
    }
    assert {name for name in top if not name.startswith(".")} <= allowed


def test_the_readme_of_the_rooms_shows_every_room():
    rooms = (PACKAGE / "README.md").read_text(encoding="utf-8")
    for name in ROOMS:
        if not name.startswith("__"):
            assert re.search(rf"\b{name}(\.py|/)", rooms), name
    files = {path.name for path in PACKAGE.rglob("*.py") if path.parent.name in ("data", "rows")}
    for name in files - {"__init__.py"}:
        assert f"`{name}`" in rooms or f"({name}" in rooms or f"`{name}" in rooms, name


@pytest.mark.parametrize(
    "folder, most", [("logreg_accel", 300), ("kernels", 300), ("bench", 300), ("tests", 400)]
)
def test_files_and_lines_are_short(folder, most):
    sources = {".py", ".cu", ".cuh", ".h", ".cpp"}
    paths = [path for path in (ROOT / folder).rglob("*") if path.suffix in sources]
    lines = {path: path.read_text(encoding="utf-8").splitlines() for path in paths}
    assert not [path for path, own in lines.items() if len(own) > most and path.suffix == ".py"]
    assert not [f"{path}: {line}" for path, own in lines.items() for line in own if len(line) > 110]


def test_a_matrix_hides_its_kind_and_a_loss_its_name():
    """Only data/ and the tables of kernels ask how X is stored; kernels go by the type of a loss."""
    asked = {
        "compressed": ("data", "backends/numba", "backends/cupy"),
        "indptr": ("data", "backends/numba", "backends/cupy"),
    }
    for path in PACKAGE.rglob("*.py"):
        text, room = path.read_text(encoding="utf-8"), str(path.relative_to(PACKAGE))
        for word, homes in asked.items():
            assert not re.search(rf"\.{word}\b", text) or room.startswith(homes), f"{path} asks for {word}"
        assert "loss.name" not in text and ("hasattr(X" not in text or room.startswith("data")), path


def test_the_interfaces_stay_small():
    """Objective has at most twelve public methods, solvers at most ten types of questions."""
    from logreg_accel.objective import Objective
    from logreg_accel.solvers import questions

    public = [name for name in vars(Objective) if not name.startswith("_")]
    assert len(public) <= 12, public
    kinds = [
        kind for kind in vars(questions).values() if isinstance(kind, type) and dataclasses.is_dataclass(kind)
    ]
    assert 0 < len(kinds) <= 10, kinds


def test_few_calls_lie_between_fit_and_the_loop(monkeypatch):
    """At most ten frames of ours between `fit` and a kernel."""
    from logreg_accel.backends.numba import NumbaBackend, kernels

    depths, table = [], dict(NumbaBackend.kernels)

    def recording(backend, pass_, block, stored):
        frames = [frame.filename for frame in traceback.extract_stack()]
        depths.append(sum(str(PACKAGE) in name for name in frames))
        return None

    key = (passes.LossGradient, Logistic, "rows")
    assert table[key] is kernels.KERNELS[key]
    monkeypatch.setattr(NumbaBackend, "kernels", {**table, key: recording})
    logreg_accel.LogisticRegression(backend="numba", solver="lbfgs").fit([[0.0], [1.0], [2.0]], [0, 1, 0])
    assert depths and max(depths) <= 10 + 1, "the recording itself is one"
