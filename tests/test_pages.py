"""The pages that a user reads: their code runs, their links lead somewhere, the first one stays short."""

import inspect
import re
from pathlib import Path

import pytest

import logreg_accel

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("page", ["README.md", "logreg_accel/USING.md", "logreg_accel/COMING_FROM.md"])
def test_the_python_of_a_page_runs(page, tmp_path, monkeypatch):
    """Every Python block of a page, one after the other."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.S)
    assert blocks
    monkeypatch.chdir(tmp_path)
    scope = {}
    for block in blocks:
        exec(compile(block, page, "exec"), scope)  # noqa: S102


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "bench/README.md",
        *(f"logreg_accel/{name}.md" for name in ("README", "USING", "COMING_FROM")),
    ],
)
def test_links_lead_somewhere(page):
    """Every link of a page that is a path."""
    links = re.findall(r"\]\(([^)#:]+)\)", (ROOT / page).read_text(encoding="utf-8"))
    assert not [link for link in links if not (ROOT / page).parent.joinpath(link).exists()]


def test_the_readme_is_read_in_two_minutes():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 130


@pytest.mark.parametrize("name", [name for name in logreg_accel.__all__ if not name.startswith("_")])
def test_every_parameter_is_documented(name):
    """help() of a public name says what it is and what each of its parameters means."""
    public = getattr(logreg_accel, name)
    told = inspect.getdoc(public)
    assert told and told.splitlines()[0].endswith((".", "::"))
    if callable(public):
        listed = {word for line in told.splitlines() for word in re.findall(r"\w+", line.split(" : ")[0])}
        assert {
            parameter for parameter in inspect.signature(public).parameters if parameter != "self"
        } <= listed
