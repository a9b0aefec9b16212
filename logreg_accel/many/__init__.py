"""Many models at once: paths of penalties, folds, targets, in the reads of a few."""
