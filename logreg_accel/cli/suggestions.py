"""A parser whose errors have suggestions."""

import argparse
import difflib
import re
from typing import ClassVar


class Parser(argparse.ArgumentParser):
    """An `argparse.ArgumentParser` with suggestions for scikit-learn's names and misspelt options."""

    made: ClassVar[dict] = {}  # the parsers of all verbs, since the top one reports unknown options

    def __init__(self, *given, **named):
        super().__init__(*given, **named)
        self.made[self.prog] = self

    def error(self, message):
        """Print one line and exit: the usage of a verb with many options would hide the message."""
        self.exit(
            2,
            f"{self.prog}: error: {message}{self._hint(message)}\n{self.prog} --help lists the options.\n",
        )

    def _hint(self, message):
        if found := re.search(r"unrecognized arguments: (--[^ =]+)", message):
            option = found[1].replace("_", "-")
            if option in _SCIKIT_LEARN:
                return f"; here it is {_SCIKIT_LEARN[option]}"
            options = {prog: re.findall(r"--[\w-]+", made.format_help()) for prog, made in self.made.items()}
            verbs = [prog.split()[-1] for prog, known in options.items() if option in known]
            if verbs:
                first = ", ".join(verbs[:-1])
                return f"; it is an option of {f'{first} and ' if first else ''}{verbs[-1]}"
            return _nearest(option, {name for known in options.values() for name in known})
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
