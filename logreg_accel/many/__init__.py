"""Many models at once (paths of penalties, folds, targets) in about as many reads as a few."""
