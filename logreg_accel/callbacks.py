"""scikit-learn's callback protocol, which came with its version 1.9: `estimator.set_callbacks(ProgressBar())`."""

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


def are_set(estimator):
    """Whether anybody listens: callbacks of the estimator, or those of a search that it is a part of."""
    parent = getattr(estimator, "_parent_callback_ctx", None)
    return hasattr(estimator, "_skl_callbacks") or bool(getattr(parent, "_callbacks", ()))


class Steps:
    """Tells callbacks that a fit begins, of every step, and that it ends.

    Parameters
    ----------
    estimator : estimator with CallbackSupportMixin
    X, y, sample_weight : what it is fitted to
    """

    def __init__(self, estimator, X, y, sample_weight):
        self.estimator = estimator
        self.data = {"X": X, "y": y, "metadata": None if sample_weight is None else {"sample_weight": sample_weight}}
        self.fit = estimator._init_callback_context(max_subtasks=None)
        self.fit.call_on_fit_task_begin(estimator=estimator, **self.data)
        self.begin()

    @classmethod
    def of(cls, estimator, X, y, sample_weight):
        """None where nobody listens."""
        return cls(estimator, X, y, sample_weight) if are_set(estimator) else None

    def begin(self):
        self.step = self.fit.subcontext(task_name="step")
        self.step.call_on_fit_task_begin(estimator=self.estimator, **self.data)

    def taken(self, attributes):
        """Whether a callback asks to stop after this step; `attributes` gives what a fitted estimator would have."""
        stop = self.step.call_on_fit_task_end(estimator=self.estimator, **self.data, reconstruction_attributes=attributes)
        self.begin()
        return stop

    def end(self, attributes):
        """The fit is over; the step under way was none."""
        self.step.call_on_fit_task_end(estimator=self.estimator)
        self.fit.call_on_fit_task_end(estimator=self.estimator, **self.data, reconstruction_attributes=attributes)
