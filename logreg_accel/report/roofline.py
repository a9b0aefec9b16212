"""The roofline of `logreg-accel bench`."""

from .drawing import COLOURS, INK, drawn


def roofline(report):
    """The measurements of `bench` as SVG.

    It shows GFLOP/s against FLOP per byte of X, below the limits by memory and by arithmetic.

    Parameters
    ----------
    report : dict
        As printed by `logreg-accel bench --json`.
    """
    return drawn(lambda axes: _plot(axes, report), 7.0, 4.2)


def _plot(axes, report):
    peak = report["peak_GFLOP_per_s"]
    read = max(row["plain_read_GB_per_s"] for row in report["passes"])
    intensity = [0.25, peak / read, 64]
    axes.plot(intensity, [min(peak, read * x) for x in intensity], color=INK, linewidth=1.5)
    axes.annotate(
        f"plain read {read:.0f} GB/s",
        (2, read * 2),
        ha="right",
        va="bottom",
        xytext=(-6, 0),
        textcoords="offset points",
        fontsize=8,
    )
    axes.annotate(
        f"float32 matrix product {peak:.0f} GFLOP/s", (64, peak), ha="right", va="bottom", fontsize=8
    )
    kinds = list(dict.fromkeys((row["dtype"], row["layout"]) for row in report["passes"]))
    for i, kind in enumerate(kinds):
        rows = [row for row in report["passes"] if (row["dtype"], row["layout"]) == kind]
        # Points of one dtype share their intensity; a slight shift keeps them apart.
        x = [row["flop_per_byte"] * 1.07 ** (j - len(rows) // 2) for j, row in enumerate(rows)]
        axes.plot(
            x,
            [row["flop_per_byte"] * row["GB_per_s"] for row in rows],
            "o",
            color=COLOURS[i % len(COLOURS)],
            label=f"{kind[0]}, {kind[1]} order: {', '.join(str(row['features']) for row in rows)} features",
        )
    axes.set(xscale="log", yscale="log", xlabel="FLOP per byte of X", ylabel="GFLOP/s")
    axes.legend(frameon=False, fontsize=8, loc="lower right")
