"""scikit-learn's messages about a fit, on which scripts may rely: deprecations, and warnings about
max_iter."""

import inspect
import warnings

import sklearn.linear_model
from sklearn.exceptions import ConvergenceWarning

_UNFINISHED = {
    "lbfgs": "lbfgs failed to converge after {n_iter} iteration(s)",
    "newton-cg": "newton-cg failed to converge at loss = {loss:.6g}. Increase the number of iterations",
    "newton-cholesky": "Newton solver did not converge after {n_iter} iterations",
    "sag": "The max_iter was reached which means the coef_ did not converge",
    "saga": "The max_iter was reached which means the coef_ did not converge",
    "liblinear": "Liblinear failed to converge, increase the number of iterations",
}
"""The beginning of each solver's warning, which scripts use as a filter."""


def tell_unfinished(solver, solution, stacklevel):
    """Give a ConvergenceWarning that begins like that of scikit-learn's solver, with what is known here."""
    words = _UNFINISHED[solver].format(n_iter=solution.n_iter, loss=solution.value)
    warnings.warn(
        f"{words}. (Fitted by logreg_accel: {solution.n_iter} steps ended at an estimated relative "
        f"suboptimality of {solution.suboptimality:.2g}, proven {solution.bound:.2g}; raise `max_iter`.)",
        ConvergenceWarning,
        stacklevel=stacklevel + 1,
    )


def tell_deprecated(model, shares, stacklevel):
    """Give scikit-learn's warnings about deprecated arguments, if its version gives them.

    `shares` maps the penalties that define an l1_ratio to it.
    """
    if default("penalty") != "deprecated":
        return
    penalty, told = getattr(model, "penalty", "deprecated"), []
    if penalty != "deprecated":
        use = "use l1_ratio, and C=np.inf for no penalty."
        told.append((f"'penalty' was deprecated in version 1.8 of scikit-learn: {use}", FutureWarning))
    elif model.l1_ratio is None:
        use = "use a number from 0 to 1."
        told.append((f"'l1_ratio=None' was deprecated in version 1.8 of scikit-learn: {use}", FutureWarning))
    if penalty in ("l1", "l2") and model.l1_ratio != shares[penalty]:
        given = f"penalty={penalty} with l1_ratio={model.l1_ratio}"
        told.append((f"Inconsistent values: {given}; the penalty counts. Use l1_ratio alone.", UserWarning))
    if model.n_jobs is not None:
        told.append((f"'n_jobs' has no effect, and n_jobs={model.n_jobs} was given.", FutureWarning))
    for message, category in told:
        warnings.warn(message, category, stacklevel=stacklevel + 1)


def default(argument):
    """The default of an argument of scikit-learn's class; None if it has no such argument."""
    parameters = inspect.signature(sklearn.linear_model.LogisticRegression).parameters
    return parameters[argument].default if argument in parameters else None
