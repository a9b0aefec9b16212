"""All private hooks of scikit-learn that this package uses, to be checked against every new version."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from sklearn import get_config
from sklearn.utils.multiclass import _check_partial_fit_first_call as first_partial_fit

from ..data.convert import speaks_dlpack

__all__ = [
    "FRAMES",
    "CallbackSupportMixin",
    "array_api_dispatches",
    "begin_callbacks",
    "callbacks_are_set",
    "first_partial_fit",
    "in_namespace_of",
    "routes_metadata",
    "validate_parameters",
    "with_callbacks",
]

FRAMES = 0
"""Stack frames that with_callbacks adds between a method and its caller."""

_Method = TypeVar("_Method", bound=Callable)


class _NoCallbacks:
    """An empty stand-in for the mixin, for versions of scikit-learn before 1.9."""


def with_callbacks(method: _Method) -> _Method:
    """Return the method unchanged, for those versions."""
    return method


CallbackSupportMixin = _NoCallbacks

if not TYPE_CHECKING:  # type checkers see the methods as they are written
    try:
        from sklearn.callback import CallbackSupportMixin, with_callbacks

        FRAMES = 1
    except ImportError:
        pass


def callbacks_are_set(estimator):
    """Check whether the estimator, or a search that it is part of, has callbacks."""
    parent = getattr(estimator, "_parent_callback_ctx", None)
    return hasattr(estimator, "_skl_callbacks") or bool(getattr(parent, "_callbacks", ()))


def begin_callbacks(estimator):
    """Create scikit-learn's context of one fit, whose number of steps is not known in advance."""
    return estimator._init_callback_context(max_subtasks=None)


def validate_parameters(estimator):
    """Validate the parameters of an estimator, as scikit-learn's `fit` does at its beginning."""
    estimator._validate_params()


def routes_metadata():
    """Whether scikit-learn's `enable_metadata_routing` is on."""
    return bool(get_config().get("enable_metadata_routing"))


def array_api_dispatches(X):
    """Whether scikit-learn's `array_api_dispatch` is on, and X an array of another library than NumPy."""
    return bool(get_config().get("array_api_dispatch")) and speaks_dlpack(X)


def in_namespace_of(X, result):
    """The result as an array of X's library on X's device, if `array_api_dispatch` is on."""
    if not array_api_dispatches(X) or result.dtype.kind not in "biuf":
        return result
    from sklearn.utils._array_api import get_namespace_and_device

    xp, _, device = get_namespace_and_device(X)
    return xp.asarray(result, device=device) if isinstance(result, np.ndarray) else xp.from_dlpack(result)


def without_routing(method, params):
    """scikit-learn's words about arguments that need metadata routing."""
    return (
        f"Passing extra keyword arguments to LogisticRegressionCV.{method} is only supported if "
        "enable_metadata_routing=True, which you can set using `sklearn.set_config`. Extra parameters passed "
        f"are: {sorted(params)}"
    )
