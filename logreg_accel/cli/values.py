"""Values of options from their text, or an error that says what is expected."""

import argparse


def _number(text, holds, expected, kind=float):
    try:
        value = kind(text)
        if holds(value):
            return value
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is not {expected}")


def positive(text):
    """A number above zero."""
    return _number(text, lambda v: v > 0, "a positive number")


def strengths(text):
    """A positive number, several with commas between, or the word auto."""
    if text == "auto":
        return text
    values = [positive(part) for part in text.split(",")]
    return values[0] if len(values) == 1 else values


def share(text):
    """A number from 0 to below 1."""
    return _number(text, lambda v: 0 <= v < 1, "a share from 0 to below 1")


def count(text):
    """A whole number from 1 on."""
    return _number(text, lambda v: v >= 1, "a positive integer", int)


def seed(text):
    """A seed of NumPy's generators."""
    return _number(text, lambda v: 0 <= v < 2**32, "an integer from 0 to 4294967295", int)


def probability(text):
    """A number from 0 to 1."""
    return _number(text, lambda v: 0 <= v <= 1, "a probability")


def threshold_or_rule(text):
    """A probability, or how it is chosen."""
    if text in ("f1", "youden"):
        return text
    return _number(text, lambda v: 0 <= v <= 1, "a probability, f1 or youden")


def class_weight(text):
    """The word balanced, or a dict of LABEL=WEIGHT,..."""
    if text == "balanced":
        return text
    weights = {}
    for part in text.split(","):
        label, equals, weight = part.rpartition("=")
        if not equals:
            raise argparse.ArgumentTypeError(f"{text!r} is neither 'balanced' nor LABEL=WEIGHT,...")
        weights[label] = positive(weight)
    return weights


def levels(text):
    """A dict of COLUMN=LEVEL,..."""
    parts = [part.partition("=") for part in text.split(",")]
    if not all(column and level for column, _, level in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is not COLUMN=LEVEL,...")
    return {column: level for column, _, level in parts}


def separator(text):
    """One character, or its name."""
    names = {"tab": "\t", "\\t": "\t", "space": " ", "comma": ",", "semicolon": ";", "pipe": "|"}
    character = names.get(text, text)
    if len(character) != 1 or character in '"\r\n':
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a single character (tab and space are given by name)"
        )
    return character


def encoding(text):
    """The name of an encoding, as Python spells it."""
    import codecs

    try:
        return codecs.lookup(text).name
    except LookupError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not an encoding that Python knows, such as latin-1"
        ) from None


def memory(text):
    """A size such as 4GB, as `scan` takes it."""
    from ..data.scan import bytes_of

    try:
        return bytes_of(text) and text
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 4GB or 800MB") from None


def list_of(kind):
    """Several values with commas between."""
    return lambda text: [kind(part) for part in text.split(",")]


def one_of(*names):
    """One of some names."""
    return lambda text: _number(text, lambda name: name in names, f"one of {', '.join(names)}", str)
