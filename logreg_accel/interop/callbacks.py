"""The callback protocol of scikit-learn 1.9 and later: `estimator.set_callbacks(ProgressBar())`."""

from .hooks import begin_callbacks, callbacks_are_set


class Steps:
    """Tells callbacks about the beginning of a fit, every step, and its end.

    Parameters
    ----------
    estimator : estimator with CallbackSupportMixin
    X, y, sample_weight
        The data that it is fitted to.
    """

    def __init__(self, estimator, X, y, sample_weight):
        self.estimator = estimator
        self.data = {
            "X": X,
            "y": y,
            "metadata": None if sample_weight is None else {"sample_weight": sample_weight},
        }
        self.fit = begin_callbacks(estimator)
        self.fit.call_on_fit_task_begin(estimator=estimator, **self.data)
        self.begin()

    @classmethod
    def begun_for(cls, estimator, X, y, sample_weight):
        """Return an instance, or None if no callbacks are set."""
        return cls(estimator, X, y, sample_weight) if callbacks_are_set(estimator) else None

    def begin(self):
        self.step = self.fit.subcontext(task_name="step")
        self.step.call_on_fit_task_begin(estimator=self.estimator, **self.data)

    def taken(self, attributes):
        """End a step, and return whether a callback asks to stop after it.

        `attributes` is a function that returns the attributes of the estimator if it were fitted now.
        """
        stop = self.step.call_on_fit_task_end(
            estimator=self.estimator, **self.data, reconstruction_attributes=attributes
        )
        self.begin()
        return stop

    def end(self, attributes):
        """End the fit, and with it the step that was begun but not taken."""
        self.step.call_on_fit_task_end(estimator=self.estimator)
        self.fit.call_on_fit_task_end(
            estimator=self.estimator, **self.data, reconstruction_attributes=attributes
        )
