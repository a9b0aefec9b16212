"""The private hooks of scikit-learn that this package uses, all of them: what to look at when a new version comes."""

import numpy as np
from sklearn.utils.multiclass import _check_partial_fit_first_call as first_partial_fit

__all__ = [
    "FRAMES",
    "CallbackSupportMixin",
    "begin_callbacks",
    "callbacks_are_set",
    "first_partial_fit",
    "in_namespace_of",
    "validate_parameters",
    "with_callbacks",
]

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks

    FRAMES = 1  # that with_callbacks puts between a method and who called it
except ImportError:

    class CallbackSupportMixin:
        """Nothing, before scikit-learn 1.9."""

    def with_callbacks(method):
        """The method as it is."""
        return method

    FRAMES = 0


def callbacks_are_set(estimator):
    """Whether anybody listens: callbacks of the estimator, or those of a search that it is a part of."""
    parent = getattr(estimator, "_parent_callback_ctx", None)
    return hasattr(estimator, "_skl_callbacks") or bool(getattr(parent, "_callbacks", ()))


def begin_callbacks(estimator):
    """scikit-learn's context of one fit, with a number of steps that nobody knows."""
    return estimator._init_callback_context(max_subtasks=None)


def validate_parameters(estimator):
    """What scikit-learn's `fit` begins with."""
    estimator._validate_params()


def in_namespace_of(X, result):
    """The result as an array of X's kind, on X's device, where scikit-learn's `array_api_dispatch` is on; else as it is."""
    from sklearn import get_config

    if not get_config()["array_api_dispatch"] or isinstance(X, np.ndarray) or not hasattr(X, "__dlpack__"):
        return result
    if result.dtype.kind not in "biuf":
        return result
    from sklearn.utils._array_api import get_namespace_and_device

    xp, _, device = get_namespace_and_device(X)
    return xp.asarray(result, device=device)
