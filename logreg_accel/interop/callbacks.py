"""scikit-learn's callback protocol, which came with its version 1.9: `estimator.set_callbacks(ProgressBar())`."""

from .hooks import begin_callbacks, callbacks_are_set


class Steps:
    """Tells callbacks that a fit begins, of every step, and that it ends.

    Parameters
    ----------
    estimator : estimator with CallbackSupportMixin
    X, y, sample_weight : what it is fitted to
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
    def of(cls, estimator, X, y, sample_weight):
        """None where nobody listens."""
        return cls(estimator, X, y, sample_weight) if callbacks_are_set(estimator) else None

    def begin(self):
        self.step = self.fit.subcontext(task_name="step")
        self.step.call_on_fit_task_begin(estimator=self.estimator, **self.data)

    def taken(self, attributes):
        """Whether a callback asks to stop after this step; `attributes` gives what a fitted estimator would have."""
        stop = self.step.call_on_fit_task_end(
            estimator=self.estimator, **self.data, reconstruction_attributes=attributes
        )
        self.begin()
        return stop

    def end(self, attributes):
        """The fit is over; the step under way was none."""
        self.step.call_on_fit_task_end(estimator=self.estimator)
        self.fit.call_on_fit_task_end(
            estimator=self.estimator, **self.data, reconstruction_attributes=attributes
        )
