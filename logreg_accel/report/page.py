"""An HTML page in one file: light or dark as the reader prefers, without any network request."""

import html
from string import Template

_PAGE = Template("""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>$title</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
:root { color-scheme: light dark; --ink: #1a1a1b; --muted: #5d5d61; --line: #d9d9db; --paper: #ffffff;
  --panel: #f5f5f7; --warn: #fff3d6; --series-0: #0072b2; --series-1: #d55e00; --series-2: #009e73;
  --series-3: #b0578a; --series-4: #b87c00; --series-5: #2a88bd; }
@media (prefers-color-scheme: dark) { :root { --ink: #ececee; --muted: #a9a9ae; --line: #3b3b40;
  --paper: #161618; --panel: #222226; --warn: #40351a; --series-0: #58b0e8; --series-1: #ff8a47;
  --series-2: #35c79a; --series-3: #e59ac4; --series-4: #f0b429; --series-5: #8fd0f5; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 66rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .5rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .5rem; }
p, ul { max-width: 44rem; margin: .5rem 0; overflow-wrap: anywhere; }
.lead, figcaption, .note { color: var(--muted); }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .75rem;
  margin: 1.2rem 0; padding: 0; list-style: none; max-width: none; }
.cards li { background: var(--panel); border-radius: .5rem; padding: .7rem .9rem; }
.cards b { display: block; font-size: 1.5rem; line-height: 1.3; font-variant-numeric: tabular-nums; }
.cards span { color: var(--muted); font-size: .9rem; }
.warnings { background: var(--warn); border-radius: .5rem; padding: .7rem 1rem .7rem 2rem; max-width: none; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 19rem), 1fr));
  gap: 1.5rem; align-items: start; }
figure { margin: .5rem 0; min-width: 0; max-width: 36rem; }
figcaption { font-size: .92rem; }
svg { display: block; width: 100%; height: auto; }
svg text { font-family: inherit !important; }
.scroll { overflow-x: auto; min-width: 0; }
.beside { display: flex; flex-wrap: wrap; gap: 0 3rem; align-items: flex-start; }
.beside > * { flex: 1 1 20rem; max-width: 100%; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .6rem 0 1.2rem;
  font-size: .95rem; min-width: 18rem; }
caption { text-align: left; color: var(--muted); font-size: .92rem; padding-bottom: .2rem; }
th, td { padding: .3rem .8rem; text-align: right; border-bottom: 1px solid var(--line); font-weight: 400;
  vertical-align: top; }
thead th { color: var(--muted); }
th:first-child, td:first-child { text-align: left; padding-left: 0; overflow-wrap: anywhere;
  min-width: 7rem; }
.words td, .words th { text-align: left; overflow-wrap: anywhere; }
@media (max-width: 30rem) { table { font-size: .82rem; min-width: 0; } th, td { padding: .3rem .3rem; }
  th:first-child, td:first-child { min-width: 4.5rem; } }
</style></head><body><main>
<h1>$title</h1>
$body
</main></body></html>
""")


def page(title, *parts):
    """A whole page; parts are HTML, the title is text."""
    return _PAGE.substitute(title=html.escape(title), body="\n".join(filter(None, parts)))


def section(heading, *parts):
    """A heading and the parts below it; nothing if there are no parts."""
    told = "\n".join(filter(None, parts))
    return f"<section><h2>{html.escape(heading)}</h2>\n{told}</section>" if told else ""


def paragraph(text, kind=None):
    return f"<p{_class(kind)}>{html.escape(text)}</p>"


def cards(facts):
    """The most important numbers, large: pairs (value, description)."""
    items = "".join(
        f"<li><b>{html.escape(value)}</b><span>{html.escape(name)}</span></li>" for value, name in facts
    )
    return f'<ul class="cards">{items}</ul>'


def bullets(sentences, kind=None):
    items = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in sentences)
    return f"<ul{_class(kind)}>{items}</ul>" if items else ""


def figures(*pairs):
    """Figures, pairs (SVG, caption), side by side if there is room."""
    drawn = "".join(
        f"<figure>{svg}<figcaption>{html.escape(caption)}</figcaption></figure>" for svg, caption in pairs
    )
    return f'<div class="figures">{drawn}</div>' if drawn else ""


def beside(*parts):
    """Parts side by side if there is room, one below the other on a narrow screen."""
    told = "\n".join(filter(None, parts))
    return f'<div class="beside">{told}</div>' if told else ""


def table(caption, headings, rows, words=False):
    """A table whose first column names the row; `words` aligns the other columns to the left."""
    head = "".join(
        f'<th scope="col">{html.escape(cell)}</th>' if cell else "<td></td>" for cell in map(str, headings)
    )
    body = "".join(_row([str(cell) for cell in row]) for row in rows)
    kind = ' class="words"' if words else ""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{html.escape(caption)}">'
        f"<table{kind}><caption>{html.escape(caption)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def _row(cells):
    first, *others = map(html.escape, cells)
    return f'<tr><th scope="row">{first}</th>' + "".join(f"<td>{cell}</td>" for cell in others) + "</tr>"


def _class(kind):
    return f' class="{kind}"' if kind else ""
