"""Pictures of models, as Displays like scikit-learn's, and self-contained pages."""

from .displays import ConvergenceDisplay, ForestDisplay, PathDisplay

__all__ = ["ConvergenceDisplay", "ForestDisplay", "PathDisplay"]
