"""The parts of bench/peers.py.

They are problems (generated and real), contestants and their calls, child (one run), referee (the clock and
the record) and report.
"""
