"""Conversion of a fitted model to plain values and arrays, and back, with checks of untrusted values."""

import dataclasses
import inspect
import math
import numbers
import sys

import numpy as np

from ..backends import Choice
from ..history import Record
from ..parameters import check_parameters
from ..solvers import SOLVERS
from ..table import TableEncoder

_ATTRIBUTES = {
    "n_passes_": float,
    "suboptimality_": float,
    "suboptimality_bound_": float,
    "status_": str,
    "n_features_in_": int,
}
_OPTIONAL = {"class_shares": 1.0, "scale": float(np.finfo(np.float64).max)}  # not in files of version 0.1.0
_HEADER = {"kind": str, "params": dict, "attributes": dict, "backend": list, "solver": list}


def pack(model):
    """Take a fitted model apart into (header, arrays): JSON values, and arrays without Python objects.

    Raises
    ------
    ValueError
        A parameter has a value that JSON cannot represent.
    """
    params = {name: value for name, value in model.get_params(deep=False).items() if _is_plain(value)}
    if dataclasses.is_dataclass(model.solver):
        name = next((name for name, settings in SOLVERS.items() if type(model.solver) is settings), None)
        params["solver"] = {"name": name, **dataclasses.asdict(model.solver)}
    if isinstance(model.class_weight, dict):
        params["class_weight"] = list(model.class_weight.items())
    factors = model.penalty_factor
    if factors is not None:
        params["penalty_factor"] = (
            list(factors.items()) if isinstance(factors, dict) else np.asarray(factors, dtype=float).tolist()
        )
    if isinstance(model.bounds, dict):
        params["bounds"] = {"names": list(model.bounds.items())}
    elif model.bounds is not None:
        params["bounds"] = [np.asarray(side, dtype=float).tolist() for side in model.bounds]
    header = {
        "kind": "model",
        "params": _to_json(params),
        "attributes": {name: _to_json(getattr(model, name)) for name in _ATTRIBUTES},
        "backend": [str(model.backend_), model.backend_.reason],
        "solver": [str(model.solver_), model.solver_.reason],
        "versions": {"logreg_accel": sys.modules["logreg_accel"].__version__, "numpy": np.__version__},
    }
    if hasattr(model, "feature_names_in_"):
        header["feature_names"] = model.feature_names_in_.tolist()
    if hasattr(model, "encoder_"):
        header["encoder"] = model.encoder_.to_dict()
    if getattr(model, "inference_", None) is not None:
        header["inference"] = _to_json(model.inference_)
    if hasattr(model, "threshold_"):
        header["threshold"] = _to_json(model.threshold_)
    if hasattr(model, "aside_"):
        header["aside"] = model.aside_
    arrays = {
        "coef": model.coef_,
        "intercept": model.intercept_,
        "n_iter": model.n_iter_,
        "history": np.array(model.history_, dtype=np.float64).reshape(-1, len(Record._fields)),
    }
    for name in _OPTIONAL:
        if getattr(model, f"{name}_", None) is not None:
            arrays[name] = getattr(model, f"{name}_")
    if model.classes_.dtype == object:
        header["classes"], header["classes_dtype"] = model.classes_.tolist(), "object"
    else:
        arrays["classes"] = model.classes_
    return header, arrays


def unpack(estimator, header, arrays):
    """Rebuild the fitted model that `pack` took apart.

    Parameters that this version does not know are left out.

    Raises
    ------
    ValueError
        `pack` cannot have made this: something is missing, or not of its kind, shape or range.
    """
    try:
        for name, kind in _HEADER.items():
            _require(isinstance(header[name], kind), f"its {name!r} is not a {kind.__name__}")
        _require(header["kind"] == "model", f"it is a {header['kind']!r}")
        model = estimator(**_parameters(estimator, header["params"]))
        check_parameters(model)
        _set_attributes(model, header["attributes"])
        _set_choices(model, header)
        _set_arrays(model, arrays, _classes(header, arrays))
        if "feature_names" in header:
            model.feature_names_in_ = _feature_names(header["feature_names"], model.n_features_in_)
        _set_use(model, header)
    except KeyError as error:
        raise ValueError(f"{error} is missing") from error
    except (TypeError, AttributeError, OverflowError) as error:  # any JSON value may stand anywhere
        raise ValueError(f"{type(error).__name__}: {error}") from error
    return model


def _require(holds, otherwise):
    if not holds:
        raise ValueError(otherwise)


def _parameters(estimator, given):
    known = inspect.signature(estimator).parameters
    params = {name: _from_json(value) for name, value in given.items() if name in known}
    if isinstance(params.get("solver"), dict):
        settings = dict(params["solver"])
        name = settings.pop("name")
        _require(name in SOLVERS, f"its settings are of solver {name!r}; known are {', '.join(SOLVERS)}")
        params["solver"] = SOLVERS[name](**settings)
    if isinstance(params.get("class_weight"), list):
        params["class_weight"] = {label: weight for label, weight in params["class_weight"]}
    bounds = params.get("bounds")
    if isinstance(bounds, dict):
        bounds = {name: tuple(v) if isinstance(v, list) else v for name, v in bounds["names"]}
    params["bounds"] = tuple(bounds) if isinstance(bounds, list) else bounds
    factors = params.get("penalty_factor")
    if isinstance(factors, list) and factors and isinstance(factors[0], list):
        params["penalty_factor"] = {name: factor for name, factor in factors}
    return params


def _set_attributes(model, given):
    strange = sorted(given.keys() - _ATTRIBUTES.keys())
    _require(not strange, f"it has strange attributes: {', '.join(strange[:5])}")
    for name, kind in _ATTRIBUTES.items():
        value = _from_json(given[name])
        _require(type(value) is kind, f"`{name}` is a {type(value).__name__}; expected {kind.__name__}")
        setattr(model, name, value)


def _set_choices(model, header):
    for name in ("backend", "solver"):
        _require(list(map(type, header[name])) == [str, str], f"its {name} is not a name and a reason")
        setattr(model, f"{name}_", Choice(*header[name]))


def _set_arrays(model, arrays, classes):
    k = 1 if len(classes) == 2 else len(classes)
    for name, kinds, shape in (
        ("coef", "f", (k, model.n_features_in_)),
        ("intercept", "f", (k,)),
        ("n_iter", "iu", (1,)),
        ("history", "f", (len(arrays["history"]), len(Record._fields))),
    ):
        array = arrays[name]
        _require(
            array.dtype.kind in kinds and array.shape == shape,
            f"`{name}` has dtype {array.dtype} and shape {array.shape}; expected {kinds!r} and {shape}",
        )
        finite = np.isfinite(array[:, 0] if name == "history" else array).all()
        _require(finite, f"`{name}` holds numbers that are not finite")
    for name, most in _OPTIONAL.items():
        setattr(model, f"{name}_", None)
        if name in arrays:
            array, shape = (
                arrays[name],
                (2, len(classes)) if name == "class_shares" else (model.n_features_in_,),
            )
            right = (
                array.dtype == np.float64 and array.shape == shape and ((array >= 0) & (array <= most)).all()
            )
            _require(right, f"`{name}` are not {shape} numbers from 0 to {most:g}")
            setattr(model, f"{name}_", array)
    model.coef_, model.intercept_, model.n_iter_ = arrays["coef"], arrays["intercept"], arrays["n_iter"]
    model.history_ = [Record(int(row[0]), *row[1:]) for row in arrays["history"].tolist()]
    model.classes_ = classes


def _set_use(model, header):
    """Set what the command line keeps with a model: encoder, threshold, columns aside, error bars."""
    if "encoder" in header:
        model.encoder_ = TableEncoder.from_dict(header["encoder"])
        count = model.encoder_.n_features_out_
        _require(count == model.n_features_in_, f"its encoder makes {count} features")
    if "threshold" in header:
        model.threshold_ = header["threshold"]
        right = type(model.threshold_) is float and 0 <= model.threshold_ <= 1 and len(model.classes_) == 2
        _require(right, f"its threshold is {model.threshold_!r}")
    if "aside" in header:
        model.aside_ = header["aside"]
        right = isinstance(model.aside_, list) and {str} == set(map(type, model.aside_))
        _require(right, "its columns beside the features are not one or more texts")
    if "inference" in header:
        model.inference_ = _from_json(header["inference"])
        _require(_is_inference(model.inference_), "its error bars are not a table")


def _is_inference(kept):
    """Whether this is a dict of facts with a table: columns of numbers and names, equally long."""
    table = kept.pop("table", None) if isinstance(kept, dict) else None
    if not isinstance(table, dict) or not all(map(_is_plain, kept.values())):
        return False
    kept["table"] = table
    columns = list(table.values())
    kinds = [
        all(isinstance(v, kind) for v in c) for kind in (str, float) for c in columns if isinstance(c, list)
    ]
    lengths = {len(c) for c in columns if isinstance(c, list)}
    return (
        len(kinds) == 2 * len(columns)
        and sum(kinds) == len(columns)
        and len(lengths) == 1
        and 0 not in lengths
    )


def _classes(header, arrays):
    """Labels in order, from an array, or from text if they are objects or version 0.1.0 wrote them."""
    if "classes" in header:
        labels, dtype = header["classes"], np.dtype(header["classes_dtype"])
        text = isinstance(labels, list) and all(isinstance(label, str) for label in labels)
        _require(text, "its labels are neither numbers nor text")
        _require(dtype.kind in "OUM", f"its labels have dtype {dtype}")
        classes = np.array(labels, dtype="U" if dtype.kind == "U" else dtype)
    else:
        classes = arrays["classes"]
    _require(classes.dtype.kind in "OUMmbiuf", f"its labels have dtype {classes.dtype}")
    ordered = classes.ndim == 1 and len(classes) > 1 and np.array_equal(np.unique(classes), classes)
    _require(ordered, "its labels are not two or more in ascending order")
    return classes


def _feature_names(names, n_features):
    right = isinstance(names, list) and list(map(type, names)) == [str] * n_features
    _require(right, f"its names of features are not {n_features} strings")
    return np.array(names, dtype=object)


# -- values of JSON ------------------------------------------------------------------------------------------


def _is_plain(value):
    return value is None or isinstance(value, str | bool | numbers.Real)


def _to_json(value):
    """Convert a value to JSON types, which lack inf, nan and NumPy scalars; `_from_json` is the inverse."""
    if isinstance(value, dict):
        return {name: _to_json(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_to_json(item) for item in value]
    value = value.item() if isinstance(value, np.generic) else value
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if not isinstance(value, numbers.Real):
        raise ValueError(f"{value!r} is neither text nor a number")
    return float(value) if math.isfinite(value) else {"float": repr(float(value))}


def _from_json(value):
    if isinstance(value, dict):
        return (
            float(value["float"]) if set(value) == {"float"} else {k: _from_json(v) for k, v in value.items()}
        )
    return [_from_json(item) for item in value] if isinstance(value, list) else value
