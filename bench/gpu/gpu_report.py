"""The short table and the picture."""

import math

_COLOURS = [
    "#0072B2",
    "#56B4E9",
    "#E69F00",
    "#009E73",
    "#D55E00",
    "#CC79A7",
    "#999999",
]  # Okabe and Ito's palette


def _cases(report, section):
    return report.get(section, {}).get("cases", [])


def best_shares(report, dtype):
    """Contestant -> {features: share of the read}.

    It is the best of PyTorch's, of JAX's and of the tiled variants, and the better of the rounds.
    """
    lines = {}
    for case in _cases(report, "evaluations"):
        if case["dtype"] == dtype:
            for name, entry in case["contestants"].items():
                if name != "plain read":
                    line = lines.setdefault(name if name.startswith("ours") else name.split(":")[0], {})
                    line[case["features"]] = max(entry["share_of_read"], line.get(case["features"], 0.0))
    return lines


def ratios(report):
    """(dtype, features) -> (name of the fastest other, its time over ours).

    Each ratio is from a turn that both were in.
    """
    found = {}
    for case in _cases(report, "evaluations"):
        key = case["dtype"], case["features"]
        for name, entry in case["contestants"].items():
            if not name.startswith("our") and name != "plain read" and "times_ours" in entry:
                found[key] = min(
                    found.get(key, ("", math.inf)), (name, entry["times_ours"]), key=lambda pair: pair[1]
                )
    return found


def table(report):
    """A short account in plain text."""
    facts, read = report.get("facts", {}), report.get("evaluations", {}).get("read", {})
    lines = [
        f"{facts.get('gpu', {}).get('name')}; {facts.get('machine', {}).get('processor')}; "
        + ", ".join(f"{name} {version}" for name, version in facts.get("versions", {}).items())
    ]
    lines += [f"best read {read['best_read_GB_per_s']:.0f} GB/s, {read['fastest']}"] if read else []
    lines += _shares_table(report) + widths_table(report) + _kernels_table(report) + models_table(report)
    return "\n".join(lines + _around_table(report) + troubles(report))


def _shares_table(report):
    """Evaluations beside the best read, and the fastest other library."""
    lines, others = [], ratios(report)
    for dtype in dict.fromkeys(case["dtype"] for case in _cases(report, "evaluations")):
        shares = best_shares(report, dtype)
        widths = sorted({n for line in shares.values() for n in line})
        lines += [
            f"\n{dtype}: share of the best read, by features",
            " " * 24 + "".join(f"{n:>9d}" for n in widths),
        ]
        shares["fastest other / ours"] = {n: others[dtype, n][1] for n in widths if (dtype, n) in others}
        lines += [
            f"{name:24s}" + "".join(f"{line[n]:9.3f}" if n in line else " " * 9 for n in widths)
            for name, line in shares.items()
        ]
        lines += [f"  {n}: {others[dtype, n][0]}" for n in widths if (dtype, n) in others]
    return lines


def _kernels_table(report):
    """Variants of kernels, passes of many outputs, and fits."""
    lines = []
    for c in _cases(report, "sweep"):
        best = c["best"]
        lines.append(
            f"sweep {c['name']}: {c['base_ms']:.3f} -> {best['ms']:.3f} ms "
            f"(x{c['gain']:.3f}; share {best['share_of_read']:.3f})  "
            f"{best['change']}  {best['kernel']} /{best['slices']}"
        )
    for c in _cases(report, "outputs"):
        lines.append(
            f"{c['name']}: " + ", ".join(f"{name} {e['ms']:.2f} ms" for name, e in c["contestants"].items())
        )
    for c in _cases(report, "fits"):
        lines.append(
            f"fit {c['name']}: {_reached(c.get('seconds_to_target'))} to 1e-6; {c['seconds']:.2f} s in all, "
            f"{c.get('passes', c.get('evaluations'))} reads or evaluations, {c['status']}, "
            f"least {c.get('suboptimality', math.nan):.1e}"
        )
    return lines


def _around_table(report):
    """What fits cost beside their kernels."""
    lines = []
    for c in _cases(report, "overhead"):
        told = (f"{what.removesuffix('_us')} {us:.0f}" for what, us in c.items() if what != "name")
        lines.append(f"overhead, {c['name']}, µs: " + ", ".join(told))
    for c in _cases(report, "first"):
        lines.append(f"first fit, {c['name']}: {c['first_s']:.2f} s, the second {c['second_s']:.3f} s")
    for c in _cases(report, "upload"):
        lines.append(
            f"upload, {c['name']}: "
            + ", ".join(f"{name} {rate:.1f} GB/s" for name, rate in c["GB_per_s"].items())
        )
    for c in _cases(report, "break_even"):
        lines.append(
            f"fit of {c['name']}: {c['second_s'] * 1e3:.1f} ms ({c['solver']}, {c['passes']:g} passes)"
        )
    return lines


def _reached(seconds):
    return "not reached" if seconds is None else f"{seconds:.3f} s"


def models_table(report):
    """Seconds to 1e-6 of the fits of other models, and rates of predictions, a line a case."""
    lines = []
    for c in _cases(report, "models"):
        if "ms" in c:
            told = (f"{name} {c['ms'][name]:.2f} ms, {rate:.0f} GB/s" for name, rate in c["GB_per_s"].items())
        else:
            told = (
                f"{name} {_reached(f['seconds_to_target'])} ({f['status']}, {f['suboptimality']:.0e})"
                for name, f in c["fits"].items()
            )
        lines.append(f"{c.get('about', c['name'])}: " + "; ".join(told))
    return lines


def widths_table(report):
    """Shares of the plain read of the same bytes at every width, a line a case."""
    lines = []
    for c in sorted(_cases(report, "widths"), key=lambda c: (c["dtype"], c["features"])):
        lines.append(
            f"{c['name']:14s}"
            + "  ".join(f"{name} {e['share_of_read']:.3f}" for name, e in c["contestants"].items())
        )
    return lines


def troubles(report):
    """What was wrong, failed or not measured, and how every section ended."""
    lines = []
    for section, how in report.get("sections", {}).items():
        part, where = report.get(section, {}), {}
        for case in part.get("cases", []) if section != "sweep" else []:  # variants may fail
            for kind in ("wrong", "failed"):
                for name, why in case.get(kind, {}).items():
                    where.setdefault(f"{kind} {name}: {why[:360]}", []).append(case["name"])
        lines += [f"{what} ({', '.join(names)})"[:520] for what, names in where.items()]
        lines += [f"{section}: failed {what}: {why[:360]}" for what, why in part.get("failed", {}).items()]
        for kind in ("not_measured", "ended_the_process"):
            if part.get(kind):
                lines.append(f"{section}: {kind.replace('_', ' ')}: {', '.join(part[kind])}"[:400])
        lines.append(f"{section}: {how['seconds']:.0f} s, {how['ending']}")
    return lines


def picture(report, path):
    """An SVG of the share of the read bandwidth over features, a line a contestant.

    float32 and float16 stand side by side.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 5.2), layout="constrained")
    shares = {dtype: best_shares(report, dtype) for dtype in ("float32", "float16")}
    colours = dict(
        zip(dict.fromkeys(name for lines in shares.values() for name in lines), _COLOURS, strict=False)
    )
    for axes, (dtype, lines) in zip(figure.subplots(1, 2, sharey=True), shares.items(), strict=True):
        for name, line in lines.items():
            axes.plot(
                *zip(*sorted(line.items()), strict=True),
                marker="o",
                color=colours.get(name),
                label=name,
                linewidth=2.4 if name.startswith("our") else 1.4,
                linestyle="--" if name == "our kernel" else "-",
            )
        widths = sorted({n for line in lines.values() for n in line})
        axes.axhline(1.0, color="#1a1a1a", linewidth=1)
        axes.set(xscale="log", xlabel="features", title=f"X in {dtype}", ylim=(0, 1.08))
        axes.set_xticks(widths, [str(n) for n in widths])
        axes.minorticks_off()
        axes.grid(axis="y", color="#dddddd", linewidth=0.7)
        axes.spines[["top", "right"]].set_visible(False)
        if lines:
            axes.legend(frameon=False, fontsize=9, loc="lower right", ncols=2)
    figure.axes[0].set_ylabel("share of the measured read bandwidth")
    read = report.get("evaluations", {}).get("read", {}).get("best_read_GB_per_s", math.nan)
    name = report.get("facts", {}).get("gpu", {}).get("name")
    figure.suptitle(f"Loss and gradient once: {name}, plain read {read:.0f} GB/s")
    figure.savefig(path, format="svg")
