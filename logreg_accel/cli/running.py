"""Runs a fit: prints its warnings, and keeps the best model so far on Ctrl-C."""

import warnings

from sklearn.exceptions import ConvergenceWarning

from . import NOT_CONVERGED


class Outcome:
    """How a fit ended."""

    def __init__(self):
        self.interrupted = self.unconverged = False

    def code(self, options):
        """The exit code; raises KeyboardInterrupt after Ctrl-C, once everything has been saved and
        printed."""
        if self.interrupted:
            raise KeyboardInterrupt
        return NOT_CONVERGED if options.strict and self.unconverged else 0


def run(model, fit, warn, strict=False):
    """Call a function that fits the model, or that makes one if the model is None.

    With `strict`, the reason why a fit did not converge is printed in quiet mode, too: it is the error.

    Raises
    ------
    KeyboardInterrupt
        Ctrl-C came before there was any model.
    """
    outcome = Outcome()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            fit()
        except KeyboardInterrupt:
            if not hasattr(model, "coef_"):
                raise
            outcome.interrupted = True  # the best model so far is kept
    for warning in caught:
        unconverged = issubclass(warning.category, ConvergenceWarning)
        warn(str(warning.message), always=strict and unconverged)
        outcome.unconverged |= unconverged
    if model is not None:
        model.set_params(callback=None)
    return outcome
