"""Preconditions of standard errors: the data of the fit, an optimum, columns that are not collinear."""

import math
import warnings

import numpy as np
import scipy.linalg
from sklearn.exceptions import ConvergenceWarning

from ..backends import moments, passes
from .covariance import Penalised, inverse

_COLLINEAR = 1e-11
"""Smallest share of a column's curvature that has to remain after projection on the columns before it."""

_SHARE = 1e-6
"""Smallest share, relative to the largest, of a column that is named in a linear combination."""

_MATRICES = 6
"""Matrices over all parameters that are in memory at one time."""

_NEAR = 0.01
"""Distance from the optimum, in standard errors, that is negligible."""

_LOOSE = 20.0
"""A distance of this many times the fit's bound can only be explained by other data."""

_ALMOST = 1e-7
"""A relative distance from the optimum that is acceptable for any fit."""

_GROWS = 0.02
"""Change of margins by a Newton step from which on a coefficient may be growing without end."""

_GAIN, _LOST = 0.3, 0.01
"""Smallest gain of separated rows in such a step, and the share of the largest gain that others may lose."""

_TELLS = 0.01
"""Smallest share, relative to the largest part of the step, of a part that is named."""


def refuse_other_rows(clf, labelled):
    """Raise ValueError if the number of rows or the sum of weights differs from that of the fit."""
    rows, weight = (getattr(clf, name, None) for name in ("_rows_fitted", "_weight_fitted"))
    if rows is None:  # not in a file
        return
    if rows != labelled.block.X.shape[0]:
        raise ValueError(
            f"`X` has {labelled.block.X.shape[0]} rows, and the fit had {rows}. Give the data of the fit."
        )
    if abs(labelled.total_weight - weight) > 1e-9 * weight:
        raise ValueError(
            f"The weights add up to {labelled.total_weight:.10g}, those of the fit to {weight:.10g}. "
            "Give the `sample_weight` of the fit."
        )


def refuse_large(rows, n_parameters):
    """Raise MemoryError if matrices of the parameters do not fit into memory."""
    there = rows.backend.free_bytes(None)
    needed = _MATRICES * 8 * n_parameters**2
    if there is not None and needed > there:
        raise MemoryError(
            f"The covariance of {n_parameters} parameters takes {needed / 1e9:.3g} GB and there are "
            f"{there / 1e9:.3g} GB. Fit fewer columns."
        )


def refuse_few_rows(evidence, kind):
    """Raise ValueError if a factor for small samples would divide by zero."""
    n, p = evidence.n_rows, len(evidence.gradient)
    if kind in ("HC1", "CRV1") and n <= p:
        raise ValueError(f"`vcov` is {kind!r} with {n} rows of {p} parameters; expected more rows.")


def warn_of_few_groups(n_groups, n_parameters):
    """Warn if the scores of groups, whose sum is zero, have a lower rank than the number of parameters."""
    if n_groups <= n_parameters:
        warnings.warn(
            f"`vcov` has {n_groups} groups for {n_parameters} parameters: the clustered covariance is "
            f"singular, of rank {n_groups - 1} at most, so that errors of some combinations are too small "
            "and joint tests fail. Use more groups, or fewer columns.",
            stacklevel=3,
        )


def refuse_unfit(clf, evidence, names, ridge):
    """Raise ValueError for collinear columns, separated classes and other data than the fit's."""
    if ridge is not None:
        system = Penalised(evidence, ridge)
        refuse_other_data(clf, evidence, system.gradient, system.inverted @ system.gradient)
    else:
        refuse_collinear(evidence, names)
        step = inverse(evidence.of_free(evidence.information)) @ evidence.gradient
        refuse_separation(evidence, step, names)
        refuse_other_data(clf, evidence, evidence.gradient, step)


def refuse_collinear(evidence, names):
    """Raise ValueError if columns are linear combinations of those before them.

    If columns are independent at zero coefficients but not at those of the fit, the fit has separated all
    rows in which they differ. Finding that out takes a read.

    Parameters
    ----------
    evidence : Evidence
    names : list of str
        Of the parameters of one class.
    """
    found = _dependent(evidence.layout, evidence.of_free(evidence.information), names)
    if not found:
        return
    rows = evidence.rows
    with rows.backend.limit_threads():
        sums = rows.sum(moments.Moments(np.zeros_like(evidence.W), evidence.loss))
    always = _dependent(evidence.layout, evidence.of_free(sums.information), names)
    if not always:
        _refuse(list(found), evidence.layout.outputs)
    constant = [name for name, others in always.items() if not others]
    if constant:
        raise ValueError(
            f"`X` has columns without any information: {_listed(constant)} "
            f"{'is' if len(constant) == 1 else 'are'} constant where the rows count. Leave them out and fit "
            "again."
        )
    told = [f"{name!r} of {_listed(others, 4)}" for name, others in always.items()]
    raise ValueError(
        "`X` has collinear columns, so that the data do not determine their coefficients. Linear "
        f"combinations: {'; '.join(told[:5])}{f'; and {len(told) - 5} more' if len(told) > 5 else ''}. "
        f"Leave {'it' if len(told) == 1 else 'them'} out and fit again."
    )


def _dependent(layout, information, names):
    """Columns that are combinations of others in a class, each with these others (none for a zero column)."""
    found = {}
    for first in range(0, len(information), layout.each):
        own = slice(first, first + layout.each)
        found |= _combinations(information[own, own], names)
    return found


def _combinations(H, names):
    """The same for one class."""
    unit = 1 / np.sqrt(np.where(H.diagonal() > 0, H.diagonal(), 1))
    scaled = H * unit * unit[:, None]
    _, _, rank, _ = scipy.linalg.lapack.dpstrf(np.array(scaled), tol=_COLLINEAR, lower=1)
    if rank == len(H):
        return {}
    kept, found = [], {}
    for j in range(len(H)):
        combination = _of_the_others(scaled, kept, j)
        if combination is None:
            kept.append(j)
        else:
            largest = abs(combination).max(initial=0)
            parts = zip(kept, combination, strict=True)
            found[names[j]] = [names[i] for i, c in parts if abs(c) > _SHARE * largest]
    return found


def _of_the_others(H, kept, j):
    """The combination of kept columns that gives column j, or None."""
    if not kept:
        return None if H[j, j] > 0 else np.zeros(0)
    combination = scipy.linalg.solve(H[np.ix_(kept, kept)], H[kept, j], assume_a="pos", check_finite=False)
    return combination if H[j, j] - H[kept, j] @ combination <= 10 * _COLLINEAR else None


def refuse_other_data(clf, evidence, gradient, step):
    """Raise ValueError if the gradient shows that the coefficients belong to other rows; warn about a loose
    fit.

    Parameters
    ----------
    gradient, step : ndarray (p,)
        g and H⁻¹·g for the objective that the fit minimised.
    """
    decrement = float(gradient @ step)
    distance = math.sqrt(max(decrement, 0))
    if distance <= _NEAR or not evidence.value > 0:
        return
    proven = clf.suboptimality_bound_ if clf.suboptimality_bound_ < 1 else clf.suboptimality_
    allowed = max(_LOOSE * (proven if math.isfinite(proven) else 0), _ALMOST)
    if decrement / 2 > allowed * evidence.value:
        early = f", or the fit ended early (status {clf.status_!r})" if clf.status_ != "converged" else ""
        raise ValueError(
            f"The coefficients are {distance:.3g} standard errors from the optimum of these rows: `X`, `y`, "
            f"`sample_weight` or `offset` are not those of the fit{early}. Give the data of the fit, or fit "
            "again."
        )
    warnings.warn(
        f"The coefficients are up to {distance:.2g} standard errors from the optimum; fit with a `tol` below "
        f"{clf.tol:g}, or with solver='newton-cholesky', to have all digits of the table.",
        ConvergenceWarning,
        stacklevel=4,
    )


def refuse_separated(clf, names):
    """Raise ValueError with the separating columns if the fit ended because the classes are separable."""
    if clf.status_ != "separable":
        return
    separating = getattr(clf, "_separating", None)  # not in a file
    named = names if separating is None else np.array(names)[-len(separating) :][separating]
    _refuse(named, clf.coef_)


def refuse_separation(evidence, step, names):
    """Raise ValueError if a Newton step shows that some rows are separated from the others.

    Such steps raise the margins of separated rows by about 1 each and lower none (Albert and Anderson 1984,
    Biometrika 71; `logreg_accel.separation` checks the same during a fit).

    Parameters
    ----------
    step : ndarray (p,)
        H⁻¹·g.
    names : list of str
        Of the parameters of one class.
    """
    layout, rows = evidence.layout, evidence.rows
    size = (abs(step).reshape(len(layout.outputs), -1) * _scales(evidence)).max(axis=0)
    if not size.max(initial=0) > _GROWS:
        return
    V = np.zeros(evidence.W.size)
    V[layout.places] = -step
    V = V.reshape(evidence.W.shape)
    with rows.backend.limit_threads():
        there, zero = (rows.sum(passes.Margins(at)) for at in (V, np.zeros_like(V)))
        change = rows.sweep(passes.MarginChange(zero, there, evidence.loss))
    if change.most > _GAIN and -change.least <= _LOST * change.most:
        _refuse(np.array(names)[size > _TELLS * size.max()], layout.outputs)


def _refuse(names, outputs):
    firth = ": Firth's has standard errors here, too (`firth`, on the command line --firth)"
    raise ValueError(
        f"The classes are separated by {_listed(names)}: such coefficients have no finite optimum, and no "
        "standard errors. Leave the columns out, merge levels, or use a penalty"
        f"{firth if len(outputs) == 1 else ''}."  # which has no model of several classes
    )


def _scales(evidence):
    """Approximate root mean squares of the columns of the parameters of a class."""
    scale = np.broadcast_to(np.asarray(evidence.rows.scale, dtype=np.float64), evidence.layout.n_features)
    return np.append(1.0, scale) if evidence.layout.intercept else scale


def _listed(names, most=10):
    names = [name if name.startswith("column ") else repr(name) for name in map(str, names)]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def names_of(clf):
    """Names of the parameters of a class."""
    given = getattr(clf, "feature_names_in_", None)
    features = [f"x{j}" for j in range(clf.n_features_in_)] if given is None else [str(n) for n in given]
    return ["const", *features] if clf.fit_intercept else features
