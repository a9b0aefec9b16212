"""A model as a document of JSON values, and its schema."""

import math
from typing import Any

import numpy as np

from ..table import TableEncoder
from .imported import fitted_with

FORMAT, VERSION = "logreg_accel.linear_classifier", 1
_NUMBERS = {"type": "array", "items": {"type": "number"}, "minItems": 1}
SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "A linear classifier",
    "description": "Margins are coef·x + intercept: one for two classes, one per class for more. "
    "link 'logit': P(classes[1]) = 1/(1 + exp(-margin)); 'softmax': P(classes[k]) = exp(margin_k)/sum of "
    "exp(margin) over all classes.",
    "type": "object",
    "required": ["format", "version", "link", "classes", "coef", "intercept", "features"],
    "properties": {
        "format": {"const": FORMAT},
        "version": {"const": VERSION},
        "link": {"enum": ["logit", "softmax"]},
        "classes": {"type": "array", "minItems": 2, "items": {"type": ["string", "number", "boolean"]}},
        "coef": {"type": "array", "minItems": 1, "items": _NUMBERS},
        "intercept": _NUMBERS,
        "features": {"anyOf": [{"type": "null"}, {"type": "array", "items": {"type": "string"}}]},
        "dtype": {"enum": ["float32", "float64"]},
        "classes_dtype": {"type": "string"},
        "parameters": {"type": "object"},
        "encoder": {
            "description": "How the columns of a table become features, in the form of TableEncoder.to_dict.",
            "type": "object",
            "required": ["columns", "names", "sparse"],
        },
    },
}


def to_dict(model):
    """See `Exports.to_dict`."""
    encoder = {"encoder": model.encoder_.to_dict()} if hasattr(model, "encoder_") else {}
    return {
        "format": FORMAT,
        "version": VERSION,
        "link": "logit" if len(model.classes_) == 2 else "softmax",
        "classes": plain_labels(model.classes_),
        "coef": model.coef_.astype(np.float64).tolist(),
        "intercept": model.intercept_.tolist(),
        "features": model.feature_names_in_.tolist() if hasattr(model, "feature_names_in_") else None,
        "dtype": str(model.coef_.dtype),
        "classes_dtype": str(model.classes_.dtype),
        "parameters": {
            "C": None if model.C == math.inf else float(model.C),
            "l1_ratio": float(model.l1_ratio),
            "fit_intercept": bool(model.fit_intercept),
        },
        **encoder,
    }


def plain_labels(classes):
    """Labels as text, numbers and booleans of Python.

    Raises
    ------
    ValueError
        Labels of another kind.
    """
    labels = classes.tolist()
    for label in labels:
        number = isinstance(label, int | float) and math.isfinite(label)
        if classes.dtype.kind in "mM" or not (isinstance(label, str) or number):
            raise ValueError(
                f"`classes_` has {label!r} of dtype {classes.dtype}; expected text, numbers or booleans. "
                "Encode the labels before `fit`."
            )
    return labels


def from_dict(estimator, document):
    """See `Exports.from_dict`."""
    if not isinstance(document, dict):
        raise ValueError(f"`document` is a {type(document).__name__}; expected a result of `to_dict`.")
    missing = [name for name in SCHEMA["required"] if name not in document]
    if missing:
        raise ValueError(f"`document` lacks {', '.join(map(repr, missing))}; expected a result of `to_dict`.")
    if document["format"] != FORMAT or document["version"] != VERSION:
        raise ValueError(
            f"`document` is of format {document['format']!r}, version {document['version']!r}; expected "
            f"{FORMAT!r}, version {VERSION}."
        )
    classes = _classes(document)
    coef, intercept = (_numbers(document, name) for name in ("coef", "intercept"))
    given = document.get("parameters") or {}
    parameters = {name: given[name] for name in ("l1_ratio", "fit_intercept") if name in given}
    if "C" in given:
        parameters["C"] = math.inf if given["C"] is None else given["C"]
    dtype = np.float32 if document.get("dtype") == "float32" else np.float64
    model = fitted_with(estimator, parameters, classes, coef.astype(dtype), intercept, document["features"])
    if "encoder" in document:
        model.encoder_ = _encoder(document["encoder"], model.n_features_in_)
    return model


def _encoder(values, n_features):
    try:
        encoder = TableEncoder.from_dict(values)
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"`encoder` of the document is invalid: {error}.") from error
    if encoder.n_features_out_ != n_features:
        raise ValueError(
            f"`encoder` of the document makes {encoder.n_features_out_} features; expected {n_features}, as "
            "`coef` has."
        )
    return encoder


def _numbers(document, name):
    try:
        return np.array(document[name], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"`{name}` of the document is not an array of numbers: {error}.") from error


def _classes(document):
    labels = document["classes"]
    if not isinstance(labels, list) or not all(isinstance(label, str | int | float) for label in labels):
        raise ValueError("`classes` of the document is not a list of text, numbers or booleans.")
    try:
        classes = np.array(labels, dtype=document.get("classes_dtype"))
    except (TypeError, ValueError) as error:
        raise ValueError(f"`classes` of the document are not of their `classes_dtype`: {error}.") from error
    link = "logit" if len(labels) == 2 else "softmax"
    if len(labels) < 2 or len(np.unique(classes)) != len(labels) or document["link"] != link:
        raise ValueError(
            f"`document` has the classes {labels[:10]} with link {document['link']!r}; expected two "
            "different ones with 'logit', or more with 'softmax'."
        )
    return classes
