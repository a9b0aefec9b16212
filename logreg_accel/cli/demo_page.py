"""The page that `logreg-accel demo` writes."""

from ..report import ConvergenceDisplay
from ..report.drawing import COLOURS, draw
from ..report.page import beside, figures, page, paragraph, section, table
from . import demo, demo_measures

_HEADINGS = [heading.replace("F - F*", "F\u00a0−\u00a0F*") for heading in demo.RACE]  # unbroken


def demo_page(report):
    """The HTML of the measurements of `demo`."""
    from sklearn.preprocessing import scale

    about = f"Generated, {report['rows']:,} × {report['features']} float32"
    races = {about: report["generated"], **report["real"]}
    X, y, _ = demo_measures.real()["breast cancer"]
    models = demo_measures.histories(scale(X), y)
    stream = report.get("stream")
    return page(
        "logreg_accel: demo",
        paragraph(
            ", ".join(f"{name.replace('_', ' ')}: {value}" for name, value in report["machine"].items()),
            "lead",
        ),
        paragraph(f"Measured while {report['busy']}.") if report["busy"] else "",
        *(
            section(
                f"{name[0].upper()}{name[1:]}, beside scikit-learn, default settings",
                paragraph(demo.verdict(runs)),
                beside(
                    table(
                        f"{name[0].upper()}{name[1:]}: time, and distance from the optimum",
                        _HEADINGS,
                        demo.race_rows(runs),
                    ),
                    figures((_race(runs, name), "Distance from the optimum at the end, and the time taken.")),
                ),
            )
            for name, runs in races.items()
        ),
        section(
            "Many models, and rows that do not fit into memory",
            paragraph(demo.cv_sentence(report["cross_validation"])),
            paragraph(demo.stream_sentence(stream)) if stream else "",
        ),
        section(
            "Every usable backend gives NumPy's answer",
            table("The same fit on every backend", demo.BACKENDS, demo.backend_rows(report["backends"])),
        ),
        section(
            "How solvers get there",
            figures(
                (
                    draw(lambda ax: _convergence(ax, models), "Convergence of five solvers", 6.0, 4.0),
                    "Breast cancer data, scaled columns, C = 1: distance from the optimum after reads of X.",
                )
            ),
        ),
    )


def _race(runs, name):
    def plot(ax):
        for i, run in enumerate(runs):
            ax.plot(
                run["seconds"],
                run["suboptimality"],
                "osD"[i],
                markersize=9,
                color=COLOURS[i],
                label=run["who"],
            )
        ax.set(xscale="log", yscale="log", xlabel="seconds", ylabel="(F − F*) / F*")
        ax.margins(0.3)
        least, most = ax.get_xlim()
        digits = (1, 2, 5) if most < 100 * least else (1,)  # more labels would run into each other
        ticks = [digit * 10.0**power for power in range(-6, 6) for digit in digits]
        ticks = [tick for tick in ticks if least <= tick <= most]
        ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        ax.set_xticks([], minor=True)
        ax.legend()

    return draw(plot, f"Seconds and suboptimality: {name}", 5.4, 3.6)


def _convergence(ax, models):
    for name, model in models.items():
        ConvergenceDisplay.from_estimator(model, ax=ax, name=name, proof=False, markersize=3)
    ax.set(xscale="log")
