"""CUDA C++ sources, as text: the CuPy backend compiles them at first use."""

from pathlib import Path


def source(name):
    """The text of a .cu file of this folder."""
    return (Path(__file__).parent / name).read_text(encoding="utf-8")
