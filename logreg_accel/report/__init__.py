"""Pictures of models, as Displays of the kind that scikit-learn has, and self-contained pages."""

from .displays import ConvergenceDisplay, ForestDisplay, PathDisplay

__all__ = ["ConvergenceDisplay", "ForestDisplay", "PathDisplay"]
