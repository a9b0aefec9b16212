"""One picture of the race: how many times longer than ours each library takes, case by case."""

import json
import re

from .report import contestants_of, ratio

_COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]  # Okabe and Ito
_MARKS = "osD^vPX"
# A library is shown by its fastest contestant of a case: who uses it can choose the solver.
LIBRARIES = {
    "scikit-learn": "scikit-learn ",
    "scikit-learn-intelex": "scikit-learn-intelex",
    "liblinear": "liblinear",
    "glum": "glum",
    "Snap ML": "Snap ML",
    "PyTorch L-BFGS": "PyTorch",
    "skglm": "skglm",
}


def ratios(results):
    """{case: {library: times as long as ours to 1e-6, None where it did not get there}}, easiest first."""
    found = {}
    for case in results["cases"]:
        found[case] = {}
        for library, start in LIBRARIES.items():
            raced = [name for name in contestants_of(results, case) if name.startswith(start)]
            times = [times for name in raced if (times := ratio(results, case, name)) is not None]
            if raced:
                found[case][library] = round(min(times), 3) if times else None
    return dict(sorted(found.items(), key=lambda item: fastest(item[1])))


def fastest(times):
    """The least ratio of a case; infinite where no peer got there."""
    return min((value for value in times.values() if value is not None), default=float("inf"))


def draw(results, path):
    """Write the picture as SVG; its description holds the ratios, so that a test can compare them."""
    import matplotlib

    with matplotlib.rc_context({"svg.hashsalt": "slower", "font.size": 9.5}):
        found, figure = ratios(results), _figure(results)
        figure.savefig(path, metadata={"Date": None, "Description": json.dumps(found)})


def _figure(results):
    from matplotlib.figure import Figure

    found = ratios(results)
    most = max(value for times in found.values() for value in times.values() if value)
    edge = 2.2 * most
    figure = Figure(figsize=(7.3, 0.5 + 0.235 * len(found)), layout="constrained")
    axes = figure.subplots()
    axes.axvspan(0.5, 1, color="#f3f3f3", zorder=0)
    axes.axvline(1, color="#1a1a1a", linewidth=1.2)
    axes.axvline(1.35 * most, color="#bbbbbb", linewidth=0.8, linestyle=":")
    for place, library in enumerate(LIBRARIES):
        points = [(times[library], row) for row, times in enumerate(found.values()) if library in times]
        axes.plot(
            [value for value, _ in points if value],
            [row for value, row in points if value],
            _MARKS[place],
            color=_COLOURS[place],
            markersize=6,
            label=library,
        )
        # Those that did not get there stand side by side at the right edge.
        axes.plot(
            [edge * 1.28 ** (place - 3) for value, _ in points if value is None],
            [row for value, row in points if value is None],
            _MARKS[place],
            markerfacecolor="none",
            markeredgecolor=_COLOURS[place],
            markersize=5,
        )
    ticks = [tick for tick in (0.5, 1, 2, 5, 10, 20, 50, 100) if tick <= most]
    axes.set_xscale("log")
    axes.set_xticks([*ticks, edge], [*(f"{tick:g}×" for tick in ticks), "not reached"], minor=False)
    axes.set_xticks([], minor=True)
    axes.set_xlim(0.5, edge * 2.6)
    axes.set_yticks(range(len(found)), [_title(results, case) for case in found])
    axes.set_ylim(len(found) - 0.5, -0.6)
    axes.grid(axis="y", color="#eeeeee", zorder=0)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    figure.suptitle(
        "Time to the optimum (within 1e-6), as a multiple of logreg_accel's: right of the line is slower",
        fontsize=10,
    )
    figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=9.5)
    return figure


def _title(results, case):
    about = results["cases"][case]
    name = re.sub(r"-[0-9]+[kM]-[0-9]+$", "", case)  # generated cases have their sizes in their names
    return f"{name}, {_count(about['rows'])} × {about['features']:,}"


def _count(rows):
    return f"{rows / 1e6:g}M" if rows >= 1e6 else f"{rows / 1e3:.3g}k" if rows >= 1e4 else f"{rows:,}"
