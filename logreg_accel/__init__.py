"""Logistic regression on large feature matrices, at the speed of memory.

Public names are loaded on first use, so importing the package stays cheap: it pulls in neither scikit-learn
nor Numba, CuPy or pyarrow.
"""

import importlib
import importlib.util
import sys
from pathlib import Path

TYPE_CHECKING = False  # as typing.TYPE_CHECKING, without the time that importing it takes
if TYPE_CHECKING:
    from . import solvers as solvers
    from .backends import backends as backends
    from .data.files import read_file as read_file
    from .data.scan import scan as scan
    from .estimator import LogisticRegression as LogisticRegression
    from .estimator import load as load
    from .inference import inference as inference
    from .inference.firth import firth as firth
    from .interop.patching import patch_sklearn as patch_sklearn
    from .interop.patching import unpatch_sklearn as unpatch_sklearn
    from .many.cv import LogisticRegressionCV as LogisticRegressionCV
    from .many.path import logistic_regression_path as logistic_regression_path
    from .many.several import fit_many as fit_many
    from .objective import Objective as Objective
    from .table import TableEncoder as TableEncoder
    from .yardstick import plain_loss_gradient as plain_loss_gradient
    from .yardstick import read_bandwidth as read_bandwidth

__version__ = "0.2.0.dev0"

_HOMES = {
    "LogisticRegression": "estimator",
    "LogisticRegressionCV": "many.cv",
    "Objective": "objective",
    "TableEncoder": "table",
    "backends": "backends",
    "inference": "inference",
    "firth": "inference.firth",
    "fit_many": "many.several",
    "load": "estimator",
    "logistic_regression_path": "many.path",
    "patch_sklearn": "interop.patching",
    "plain_loss_gradient": "yardstick",
    "read_bandwidth": "yardstick",
    "read_file": "data.files",
    "scan": "data.scan",
    "solvers": "solvers",
    "unpatch_sklearn": "interop.patching",
}
__all__ = [*_HOMES, "__version__"]


def _find_kernels():
    """Make `logreg_accel.kernels` importable from a plain checkout.

    An installation has the kernels inside the package; in a checkout they are a directory beside it.
    """
    beside = Path(__file__).parent.parent / "kernels"
    if (Path(__file__).parent / "kernels").is_dir() or not (beside / "__init__.py").is_file():
        return
    spec = importlib.util.spec_from_file_location(
        f"{__name__}.kernels", beside / "__init__.py", submodule_search_locations=[str(beside)]
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)


_find_kernels()


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_HOMES[name]}")
    return module if _HOMES[name] == name else getattr(module, name)


def __dir__():
    return sorted([*globals(), *_HOMES])
