"""Covariances from sums: inverses of the information, sandwiches, and factors for small samples."""

from typing import Any, NamedTuple

import numpy as np
import scipy.linalg

KINDS = "iid", "HC0", "HC1"


class Covariance(NamedTuple):
    """A covariance of the free parameters, for the rows of the sums, which may be centred.

    Attributes
    ----------
    matrix : ndarray (p, p)
    kind : str
        "iid", "HC0", "HC1" or "CRV1".
    formula : str
    factor : float
        The correction for small samples, which `matrix` includes.
    edf : float
        Effective degrees of freedom: the number of parameters, or less with a penalty.
    groups : int or None
    """

    matrix: Any
    kind: str
    formula: str
    factor: float
    edf: float
    groups: int | None = None


def inverse(H):
    """H⁻¹ of a symmetric, positive definite H, which is scaled to a unit diagonal for the factorisation."""
    unit = 1 / np.sqrt(H.diagonal())
    factor = scipy.linalg.cho_factor(H * unit * unit[:, None], lower=True, check_finite=False)
    inverted = scipy.linalg.cho_solve(factor, np.eye(len(H)), check_finite=False)
    inverted *= unit * unit[:, None]
    return (inverted + inverted.T) / 2


def covariance(evidence, kind, ridge, scores=None):
    """Return the Covariance of a kind.

    Parameters
    ----------
    evidence : Evidence
    kind : "iid", "HC0", "HC1" or "CRV1"
    ridge : ndarray (n_features,) or None
        What an L2 penalty adds to the diagonal of the information.
    scores : ndarray (groups, p) or None
        Sums of scores, for "CRV1".
    """
    H, p = evidence.of_free(evidence.information), len(evidence.gradient)
    if ridge is not None:
        system = Penalised(evidence, ridge)
        bread, V, edf = system.bread, system.covariance, system.edf
    else:
        bread, edf = inverse(H), float(p)
        V = bread
    if kind == "CRV1":
        meat = scores.T @ scores
    elif kind != "iid":
        meat = evidence.of_free(evidence.meat)
    elif ridge is not None:
        return Covariance(V, kind, "(H + λ)⁻¹·H·(H + λ)⁻¹", 1.0, edf)
    else:
        return Covariance(V, kind, "H⁻¹", 1.0, edf)
    factor, text = _small_sample(kind, evidence.n_rows, p, None if scores is None else len(scores))
    side = "H⁻¹" if ridge is None else "(H + λ)⁻¹"
    formula = f"{side}·({_MEATS[kind]})·{side}{text}"
    groups = None if scores is None else len(scores)
    return Covariance(factor * (bread @ meat @ bread.T), kind, formula, factor, edf, groups)


_MEATS = {"HC0": "Σᵢ gᵢ·gᵢᵀ", "HC1": "Σᵢ gᵢ·gᵢᵀ", "CRV1": "Σ_G g_G·g_Gᵀ"}


def _small_sample(kind, n, p, groups):
    """The correction for small samples, and its formula as text."""
    if kind == "HC0":
        return 1.0, ""
    if kind == "HC1":
        return n / (n - p), f"·n/(n − p), n = {n}, p = {p}"
    factor = groups / (groups - 1) * (n - 1) / (n - p)
    return factor, f"·G/(G − 1)·(n − 1)/(n − p), G = {groups}, n = {n}, p = {p}"


class Penalised:
    """The penalised information A = H + λ over the weights of all classes, and its inverse.

    The penalty applies to the weights of all classes, but the parameters are differences from those of the
    base. Scores of the free parameters suffice, since the scores of all classes add up to zero.

    Parameters
    ----------
    evidence : Evidence
    ridge : ndarray (n_features,)
    """

    def __init__(self, evidence, ridge):
        layout = evidence.layout
        n, k = layout.n_features, layout.n_outputs
        size, weights = (n + layout.intercept) * k, np.arange(n * k)
        self.H = evidence.information[:size, :size]
        A = np.array(self.H)
        ridge = np.repeat(ridge, k)
        A[weights, weights] += ridge
        if layout.intercept and k > 1:  # intercepts may be shifted together
            A[n * k :, n * k :] += A[n * k :, n * k :].trace() / k**2
        self.inverted, self.contrasts = inverse(A), layout.contrasts()[:, :size]
        # D maps weights to parameters; its transpose maps scores of parameters to those of all weights.
        self.gradient = self.contrasts.T @ evidence.gradient
        self.gradient[weights] += ridge * evidence.W.ravel()[weights]

    @property
    def bread(self):
        """The factor on both sides of a meat of the free parameters."""
        return self.contrasts @ self.inverted @ self.contrasts.T

    @property
    def covariance(self):
        """A⁻¹·H·A⁻¹ of the free parameters."""
        made = self.contrasts @ self.inverted
        return made @ self.H @ made.T

    @property
    def edf(self):
        """tr(A⁻¹·H)."""
        return float(np.sum(self.inverted * self.H))
