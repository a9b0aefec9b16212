"""Figures as SVG for a page that is light or dark: the one place that imports matplotlib."""

import html
import io
import itertools
import re

COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]
"""Okabe and Ito's palette, which can be told apart with any kind of colour vision."""
_DASHES = [
    "-",
    "--",
    "-.",
    ":",
    (0, (5, 1)),
    (0, (3, 1, 1, 1)),
]  # so that lines can also be distinguished without colours
INK, MUTED, FAINT = "#1a1a1b", "#767678", "#d9d9db"

_VARIABLES = {
    **{colour: f"--series-{i}" for i, colour in enumerate(COLOURS)},
    INK: "--ink",
    MUTED: "--muted",
    FAINT: "--line",
}
_STYLE = {
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 10,
    "grid.color": FAINT,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "svg.fonttype": "none",
    "text.color": INK,
    "xtick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.color": MUTED,
    "ytick.labelcolor": INK,
}
_numbers = itertools.count()


def axes_of(ax=None):
    """The axes to draw on: the given ones, or new ones of pyplot, as in scikit-learn's Displays."""
    if ax is None:
        import matplotlib.pyplot as plt

        ax = plt.subplots()[1]
    return ax


def draw(plot, label, width=4.8, height=3.5):
    """The SVG of a figure for a page; `label` describes it for screen readers."""
    return _for_a_page(drawn(plot, width, height), label)


def drawn(plot, width=4.8, height=3.5):
    """The SVG of a figure, for a file of its own.

    Parameters
    ----------
    plot : callable (ax)
        Draws on axes that have this module's style.
    width, height : float
        In inches.
    """
    import matplotlib
    from matplotlib.figure import Figure

    cycle = matplotlib.cycler(color=COLOURS, linestyle=_DASHES)
    with matplotlib.rc_context({**_STYLE, "axes.prop_cycle": cycle}):
        figure = Figure(figsize=(width, height), layout="constrained")
        plot(figure.subplots())
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    return text.getvalue()[text.getvalue().index("<svg") :]


def _for_a_page(svg, label):
    """An SVG with the page's colours, identifiers of its own, and a name."""
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    for colour, name in _VARIABLES.items():
        svg = re.sub(colour, f"var({name})", svg, flags=re.I)
    svg = re.sub(r"#000000\b", "var(--ink)", svg)
    used = set(re.findall(r"(?:url\(|href=\")#([^\")]+)", svg))
    own = f"figure{next(_numbers)}-"

    def renamed(found):
        return f' id="{own}{found[1]}"' if found[1] in used else ""

    svg = re.sub(r'\sid="([^"]*)"', renamed, svg)
    svg = re.sub(r"(url\(|href=\")#", rf"\1#{own}", svg)
    return svg.replace("<svg", f'<svg role="img" aria-label="{html.escape(label)}"', 1).strip()
