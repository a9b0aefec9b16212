"""A fitted estimator as plain values and arrays, and back: what a model file holds."""

import dataclasses
import inspect
import math
import numbers
import sys

import numpy as np

from .backends import Choice
from .driver import Record
from .solvers import SOLVERS

_SCALARS = ("n_passes_", "suboptimality_", "suboptimality_bound_", "status_", "n_features_in_")


def to_plain(model):
    """A fitted model as (header, arrays): JSON values and arrays without objects."""
    params = {name: value for name, value in model.get_params(deep=False).items() if _is_plain(value)}
    if dataclasses.is_dataclass(model.solver):
        params["solver"] = {"name": str(model.solver_), **dataclasses.asdict(model.solver)}
    params["class_weight"] = list(model.class_weight.items()) if isinstance(model.class_weight, dict) else model.class_weight
    header = {
        "kind": "model",
        "params": _to_json(params),
        "attributes": {name: _to_json(getattr(model, name)) for name in _SCALARS},
        "backend": [str(model.backend_), model.backend_.reason],
        "solver": [str(model.solver_), model.solver_.reason],
        "versions": {"logreg_accel": sys.modules[__package__].__version__, "numpy": np.__version__},
    }
    if hasattr(model, "feature_names_in_"):
        header["feature_names"] = model.feature_names_in_.tolist()
    arrays = {"coef": model.coef_, "intercept": model.intercept_, "n_iter": model.n_iter_,
              "history": np.array(model.history_, dtype=np.float64)}
    if model.classes_.dtype.kind in "iufb":
        arrays["classes"] = model.classes_
    else:
        header["classes"] = [str(label) for label in model.classes_]
        header["classes_dtype"] = "object" if model.classes_.dtype == object else model.classes_.dtype.str
    return header, arrays


def from_plain(estimator, header, arrays):
    """The fitted model that `to_plain` took apart; parameters that this version does not know are left out."""
    known = inspect.signature(estimator).parameters
    params = {name: _from_json(value) for name, value in header["params"].items() if name in known}
    if isinstance(params.get("solver"), dict):
        settings = params["solver"]
        params["solver"] = SOLVERS[settings.pop("name")](**settings)
    if isinstance(params.get("class_weight"), list):
        params["class_weight"] = {label: weight for label, weight in params["class_weight"]}
    model = estimator(**params)
    for name, value in header["attributes"].items():
        setattr(model, name, _from_json(value))
    model.backend_, model.solver_ = Choice(*header["backend"]), Choice(*header["solver"])
    model.coef_, model.intercept_, model.n_iter_ = arrays["coef"], arrays["intercept"], arrays["n_iter"]
    model.history_ = [Record(int(row[0]), *row[1:]) for row in arrays["history"].tolist()]
    if "classes" in header:
        model.classes_ = np.array(header["classes"], dtype=header["classes_dtype"])
    else:
        model.classes_ = arrays["classes"]
    if "feature_names" in header:
        model.feature_names_in_ = np.array(header["feature_names"], dtype=object)
    return model


def _is_plain(value):
    return value is None or isinstance(value, str | bool | numbers.Real)


def _to_json(value):
    """JSON has no inf and nan, and no NumPy scalars."""
    if isinstance(value, dict):
        return {name: _to_json(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_to_json(item) for item in value]
    value = value.item() if isinstance(value, np.generic) else value
    return {"float": repr(value)} if isinstance(value, float) and not math.isfinite(value) else value


def _from_json(value):
    return float(value["float"]) if isinstance(value, dict) and set(value) == {"float"} else value
