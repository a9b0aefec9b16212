"""A parser whose errors have suggestions."""

import argparse
import difflib
import re
from typing import ClassVar


class Parser(argparse.ArgumentParser):
    """An `argparse.ArgumentParser` that knows the words of scikit-learn, and what is nearly right."""

    options: ClassVar[set] = set()

    def add_argument(self, *names, **parameters):
        self.options.update(name for name in names if name.startswith("--"))
        return super().add_argument(*names, **parameters)

    def error(self, message):
        super().error(f"{message}{self._hint(message)}")

    def _hint(self, message):
        if found := re.search(r"unrecognized arguments: (--[^ =]+)", message):
            option = found[1].replace("_", "-")
            if option in _SCIKIT_LEARN:
                return f"; here it is {_SCIKIT_LEARN[option]}"
            return _nearest(option, self.options)
        if found := re.search(r"argument (--[^ :/]+).*: expected one argument", message):
            return f"; a value that begins with - is given as {found[1]}=VALUE"
        if found := re.search(r"argument VERB: invalid choice: '([^']*)'", message):
            return _nearest(found[1], re.findall(r"\w+", message.partition("choose from")[2]))
        return ""


_SCIKIT_LEARN = {
    "--penalty": "--l1-ratio 0 (L2) or 1 (L1), and --C inf for none",
    "--n-jobs": "--threads",
    "--random-state": "--seed",
    "--fit-intercept": "the default, without: --no-intercept",
    "--sample-weight": "--weight COLUMN",
    "--y": "--target COLUMN",
    "--label": "--target COLUMN",
    "--header": "the default, without: --no-header",
    "--delimiter": "--sep",
    "--ignore": "--drop",
    "--exclude": "--drop",
    "--standardize": "--scale",
    "--max-time": "--max-seconds",
}


def _nearest(word, words):
    near = difflib.get_close_matches(word, words, n=1)
    return f"; did you mean {near[0]}?" if near else ""
