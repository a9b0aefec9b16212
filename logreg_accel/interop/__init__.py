"""Ties to scikit-learn beyond its public interface: private hooks, callbacks, and the patch."""
