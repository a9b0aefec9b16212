"""What ties this package to scikit-learn beyond its public contract: private hooks, callbacks, the patch."""
