"""What a kernel's parameters point to, read from its source: CuPy passes an address and asks no questions."""

import functools
import re

_POINTED = {  # NumPy's kind, where one type alone is meant, and bytes of a number
    "double": ("f", 8),
    "float": ("f", 4),
    "Half": (None, 2),
    "BFloat16": (None, 2),
    "long long": ("iu", 8),
    "int": ("iu", 4),
    "short": ("iu", 2),
    "signed char": ("iu", 1),
    "bool": (None, 1),
    "unsigned long long": (None, 8),  # words: of what, is the kernel's business
    "unsigned": (None, 4),
    "unsigned short": (None, 2),
    "unsigned char": (None, 1),
}
_BY_BYTES = {"copied"}  # kernels that take numbers of any type as bytes


def check(source, expression, arguments):
    """Raise where a pointer is to numbers of another type than the kernel reads or writes there.

    Memory of bytes may hold anything.
    """
    pointed = _pointed(source, expression)
    assert len(pointed) == len(arguments), f"{expression} takes {len(pointed)} arguments"
    for place, (type_, array) in enumerate(zip(pointed, arguments, strict=True)):
        if type_ is None or array is None or array.dtype == "uint8":
            continue
        kinds, size = _POINTED[type_]
        fits = array.itemsize == size and (kinds is None or array.dtype.kind in kinds)
        assert fits, f"{expression}: argument {place} is of {array.dtype}, and the kernel's of {type_}"


@functools.cache
def _pointed(source, expression):
    """Of every parameter the type that it points to, or None; with template arguments in their places."""
    name, _, given = expression.partition("<")
    found = re.search(rf"__global__ void[^;{{]*?\b{name}\(([^{{]*?)\)\s*{{", source)
    template = re.search(r"template <([^<>]*)>\s*$", source[: found.start()])
    names = [part.split()[-1] for part in template[1].split(",")] if template else []
    types = dict(zip(names, _split(given.rpartition(">")[0]), strict=True)) if names else {}
    pointed = [_pointee(parameter) for parameter in found[1].split(",")]
    if name in _BY_BYTES:
        pointed[0] = None
    pointed = [types.get(type_, type_) for type_ in pointed]
    return [type_ if type_ in _POINTED else None for type_ in pointed]


def _pointee(parameter):
    type_, star, _ = parameter.partition("*")
    return " ".join(word for word in type_.split() if word != "const") if star else None


def _split(arguments):
    """Template arguments, whose own may have commas."""
    parts, depth = [""], 0
    for letter in arguments:
        depth += (letter == "<") - (letter == ">")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]
