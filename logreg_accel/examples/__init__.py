"""Small scripts that show one thing each; `logreg-accel examples` lists them and writes them out.

They are not modules: nothing imports them, and the tests run each of them unchanged.
"""
