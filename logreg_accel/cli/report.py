"""The self-contained page that `logreg-accel demo` writes: figures are inline SVG, and there is no script."""

import html
import io
from string import Template

from matplotlib.figure import Figure

# Okabe and Ito's palette, which can be distinguished with any kind of colour vision
_COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]

_PAGE = Template("""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>logreg_accel: demo</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
color: #1a1a1a; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .6rem 0; }
th, td { padding: .25rem .8rem; text-align: right; border-bottom: 1px solid #ddd; }
th:first-child, td:first-child { text-align: left; }
svg { max-width: 100%; height: auto; } p { max-width: 46rem; }
</style></head><body>
<h1>Logistic regression, every usable backend</h1>
<p>$machine</p>
<h2>Generated data: $rows &times; $features, float32</h2>
<p>Each evaluation needs X once. The plain read is the fastest that this machine reads the same matrix for any
purpose ($bandwidth); the share says how close the evaluations come to it. The last column is the largest
difference of a coefficient from the NumPy backend's, relative to the largest.</p>
$generated
$throughput
<h2>Real data: breast cancer, 569 &times; 30</h2>
<p>A third of the tumours is held out; accuracy, AUC and the curve are theirs.</p>
$real
$roc
<h2>How solvers get there</h2>
<p>Relative suboptimality after a number of reads of X, breast cancer data, scaled columns, C = 1.</p>
$curves
</body></html>
""")


def page(machine, bandwidth, runs, real_runs, curves, real, options):
    """Return the HTML of the page.

    Parameters
    ----------
    machine : dict
    bandwidth : dict of str -> float
        In GB/s.
    runs, real_runs : list of dict
        As measured by `demo`.
    curves : dict of str -> (passes, suboptimality)
    real : tuple (X_train, X_test, y_train, y_test)
    options : namespace with `rows` and `features`
    """
    return _PAGE.substitute(
        machine=html.escape(
            ", ".join(f"{name.replace('_', ' ')}: {value}" for name, value in machine.items())
        ),
        rows=f"{options.rows:,}",
        features=options.features,
        bandwidth=", ".join(f"{where} {rate:.1f} GB/s" for where, rate in bandwidth.items()),
        generated=_table(
            ["backend", "solver", "seconds", "passes", "GB/s", "of plain read", "difference"],
            [
                [
                    r["backend"],
                    r["solver"],
                    f"{r['seconds']:.2f}",
                    f"{r['passes']:.0f}",
                    f"{r['GB_per_s']:.1f}",
                    f"{r['share']:.0%}",
                    f"{r['difference']:.0e}",
                ]
                for r in runs
            ],
        ),
        throughput=_throughput(runs, bandwidth),
        real=_table(
            ["backend", "solver", "seconds", "passes", "accuracy", "AUC", "difference"],
            [
                [
                    r["backend"],
                    r["solver"],
                    f"{r['seconds']:.3f}",
                    f"{r['passes']:.0f}",
                    f"{r['accuracy']:.3f}",
                    f"{r['auc']:.4f}",
                    f"{r['difference']:.0e}",
                ]
                for r in real_runs
            ],
        ),
        roc=_roc(real_runs, real[3]),
        curves=_curves(curves),
    )


def _table(headings, rows):
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in headings)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _svg(figure):
    text = io.StringIO()
    figure.savefig(text, format="svg", bbox_inches="tight")
    return text.getvalue()[text.getvalue().index("<svg") :]


def _axes(width=7.0, height=3.6):
    axes = Figure(figsize=(width, height)).subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def _throughput(runs, bandwidth):
    axes = _axes(height=0.7 + 0.4 * len(runs))
    names = [f"{run['backend']}, {run['solver']}" for run in runs]
    colours = {name: _COLOURS[i] for i, name in enumerate(dict.fromkeys(run["backend"] for run in runs))}
    bars = axes.barh(
        names, [run["GB_per_s"] for run in runs], color=[colours[run["backend"]] for run in runs]
    )
    axes.bar_label(bars, fmt="%.1f", padding=3)
    for where, rate in bandwidth.items():
        axes.axvline(rate, color="#1a1a1a", linestyle="--", linewidth=1)
        axes.annotate(
            f"plain read, {where}",
            (rate, -0.45),
            ha="right",
            xytext=(-4, 0),
            textcoords="offset points",
            fontsize=8,
        )
    axes.invert_yaxis()
    axes.set_xlabel("GB/s of X in an evaluation (median)")
    return _svg(axes.figure)


def _roc(real_runs, y):
    from sklearn.metrics import roc_curve

    axes = _axes(4.2, 4.0)
    for i, run in enumerate(real_runs):
        false_rate, true_rate, _ = roc_curve(y, run["scores"])
        axes.step(
            false_rate,
            true_rate,
            where="post",
            color=_COLOURS[i],
            linestyle=["-", "--", ":"][i % 3],
            linewidth=2.5 - 0.7 * i,
            label=f"{run['backend']} (AUC {run['auc']:.4f})",
        )
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=0.8)
    axes.set(xlabel="false positive rate", ylabel="true positive rate", aspect="equal")
    axes.legend(frameon=False, loc="lower right")
    return _svg(axes.figure)


def _curves(curves):
    axes = _axes()
    for i, (name, (passes, suboptimality)) in enumerate(curves.items()):
        axes.plot(passes, suboptimality, color=_COLOURS[i], marker="o", markersize=3, label=name)
    axes.set(xscale="log", yscale="log", xlabel="reads of X", ylabel="(F − F*) / F*")
    axes.legend(frameon=False, ncols=2, fontsize=9)
    return _svg(axes.figure)
