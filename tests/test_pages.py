"""The pages that a user reads: their code runs, their links lead somewhere, the first one stays short."""

import re
from pathlib import Path

import pytest

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
