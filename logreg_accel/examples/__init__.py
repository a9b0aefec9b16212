"""Small scripts that show one thing each; `logreg-accel examples` lists them and writes them out.

They are no modules: nothing imports them, and the tests run every one as it stands.
"""
