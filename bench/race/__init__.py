"""The parts of bench/peers.py: problems, contestants, child (one run), referee (the clock and the record), report."""
