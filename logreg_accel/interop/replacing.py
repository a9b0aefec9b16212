"""A method `fit` in place of scikit-learn's, which still makes fits that would mean something else here."""

import functools
import time

import sklearn

from . import hooks
from .tally import TALLY


def in_place_of(original, log, why_not, fitted, names, finish):
    """The `fit` that replaces a method.

    Parameters
    ----------
    original : function
    log : Logger
        Records which package makes each fit.
    why_not : function (estimator, X, y, params) -> str or None
        Why a fit would have a different meaning here.
    fitted : function (estimator, X, y, sample_weight) -> model
        Fits the estimator of this package.
    names : sequence of str
        The attributes that the estimator takes from the model.
    finish : function (estimator) -> None
        Called after the attributes were set.
    """

    @functools.wraps(original)
    def fit(self, X, y, sample_weight=None, **params):
        began = time.perf_counter()
        reason = why_not(self, X, y, params)
        if reason is None:
            if not sklearn.get_config()["skip_parameter_validation"]:
                hooks.validate_parameters(self)
            try:
                model = fitted(self, X, y, sample_weight)
            except (ValueError, TypeError, MemoryError, ArithmeticError, RuntimeError) as error:
                reason = str(error) or type(error).__name__  # scikit-learn may raise its own error
        if reason:
            log.info("%s: fitted by scikit-learn, %s", type(self).__name__, reason)
            try:
                return original(self, X, y, sample_weight, **params)
            finally:
                TALLY.add("there", began)
        log.info(
            "%s: fitted by logreg_accel, backend %s, solver %s",
            type(self).__name__,
            model.backend_,
            model.solver_,
        )
        for name in names:
            vars(self).pop(name, None)
            if hasattr(model, name):
                setattr(self, name, getattr(model, name))
        finish(self)
        TALLY.add("here", began)
        return self

    fit.original = original
    return fit
