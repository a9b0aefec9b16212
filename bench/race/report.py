"""What came of a race: the fastest setting of each contestant at each target.

It is told as a table, as JSON and as a picture.
"""

import math

from .referee import TARGETS

OURS = "ours"
_COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]  # Okabe and Ito's palette
_FLOOR = 1e-12  # of what is drawn: below is rounding


def optimum(results, case):
    """The least objective that anything, the reference too, found for a case; None where nothing did."""
    seen = [run["value"] for run in results["runs"] if run["case"] == case and run["status"] == "ok"]
    seen += [
        point[1] for entry in results.get("steps", []) if entry["case"] == case for point in entry["points"]
    ]
    seen += [
        kept[case]["value"]
        for kept in (results["references"], results.get("cold", {}))
        if "value" in kept.get(case, {})
    ]
    return min(seen, default=None)


def gap(value, best):
    """Relative suboptimality (F − F*)/F*."""
    return (value - best) / abs(best) if best else value - best


def standing(results, case, contestant):
    """A contestant's best at every target.

    Returns
    -------
    dict
        targets : {target: run or None}, the fastest run that reached it
        best : (suboptimality, seconds) of the closest run, or None
        stopped : seconds at which a run was ended, or None
        trouble : status of a run that failed otherwise, or ""
    """
    best = optimum(results, case)
    runs = [run for run in results["runs"] if (run["case"], run["contestant"]) == (case, contestant)]
    done = [(gap(run["value"], best), run["seconds"], run) for run in runs if run["status"] == "ok"]
    targets = {
        target: min(
            (entry for entry in done if entry[0] <= target), key=lambda entry: entry[1], default=(0, 0, None)
        )[2]
        for target in TARGETS
    }
    closest = min(done, key=lambda entry: entry[:2], default=None)
    return {
        "targets": targets,
        "best": closest and closest[:2],
        "stopped": max((run["limit"] for run in runs if run["status"] == "timed out"), default=None),
        "trouble": next((run["status"] for run in runs if run["status"] not in ("ok", "timed out")), ""),
    }


def ratio(results, case, contestant, target=1e-6):
    """Seconds of a contestant over ours to a target; None where one of them was not there."""
    ours, theirs = (standing(results, case, name)["targets"][target] for name in (OURS, contestant))
    return theirs["seconds"] / ours["seconds"] if ours and theirs else None


def contestants_of(results, case):
    return list(dict.fromkeys(run["contestant"] for run in results["runs"] if run["case"] == case))


def reads_to(results, case, dtype, target):
    """Reads of X by ours up to the first point within a target; None where there was none."""
    best = optimum(results, case)
    points = [
        entry["points"]
        for entry in results.get("steps", [])
        if (entry["case"], entry["dtype"]) == (case, dtype)
    ]
    return next((reads for reads, value in (points[0] if points else []) if gap(value, best) <= target), None)


# -- the table -----------------------------------------------------------------------------------------------


def table(results):
    """Markdown: a heading and a table a case, then what was missing."""
    machine = results["machine"]
    parts = [
        f"{machine['processor']}, {results['threads']} threads, {machine['memory_GiB']:g} GiB, "
        f"Python {machine['python']}; "
        + ", ".join(f"{name} {version}" for name, version in results["versions"].items() if version)
        + "."
    ]
    parts += [_case(results, case) for case in results["cases"] if contestants_of(results, case)]
    if medians := _medians(results):
        parts.append(medians)
    parts += [f"Missing: {name} ({why})." for name, why in results["missing"].items()]
    parts += [f"Not raced: {name} ({why})." for name, why in results.get("left_out", {}).items()]
    return "\n\n".join(parts)


def _case(results, case):
    about = results["cases"][case]
    ours = standing(results, case, OURS)["targets"][1e-6]
    # ours first, then by their time to 1e-6, then by how far they came
    names = sorted(
        contestants_of(results, case), key=lambda name: (name != OURS, *_rank(standing(results, case, name)))
    )
    headings = [
        "",
        *(f"s to {target:.0e}" for target in TARGETS),
        "reads or iterations",
        "MB above X",
        "× ours",
    ]
    lines = [
        f"### {case}: {about['rows']:,} × {about['features']}, {about['about']}{_classes(about)}",
        "",
        "| " + " | ".join(headings) + " |",
        "|" + "---|" * len(headings),
    ]
    lines += ["| " + " | ".join(_row(results, case, name, ours)) + " |" for name in names]
    counts = [
        f"{dtype} " + " / ".join(_number(reads_to(results, case, dtype, target)) for target in (1e-6, 1e-10))
        for dtype in ("float32", "float64")
        if any((entry["case"], entry["dtype"]) == (case, dtype) for entry in results.get("steps", []))
    ]
    after = [f"Reads by newton-subsampled to 1e-6 / 1e-10: {', '.join(counts)}."] if counts else []
    cold = results.get("cold", {}).get(case, {})
    if cold.get("status") == "ok":
        after.append(
            f"Ours in a fresh process, compiled code from disk, to tol 1e-6: {cold['seconds']:.3g} s."
        )
    if ours and "plain_read_seconds" in ours:
        after.append(
            f"Ours to 1e-6 takes {ours['seconds'] / ours['plain_read_seconds']:.3g} plain reads of X."
        )
    return "\n".join(lines) + ("\n\n" + " ".join(after) if after else "")


def _classes(about):
    strength = f", C = {about['C']:g}" if about.get("C", 1.0) != 1 else ""
    return strength + (f", {about['positives']:,} positives" if about["positives"] is not None else "")


def _rank(found):
    run = found["targets"][1e-6]
    return (run["seconds"] if run else math.inf, found["best"][0] if found["best"] else math.inf)


def _row(results, case, name, ours):
    found = standing(results, case, name)
    cells, told = [], False
    for run in found["targets"].values():
        if run:
            cells.append(f"{run['seconds']:.3g}" + (" (float64)" if run["dtype"] == "float64" else ""))
        else:
            cells.append("—" if told else _unreached(found))
            told = True
    run = found["targets"][1e-6] or next((run for run in found["targets"].values() if run), None)
    effort = (
        ""
        if not run
        else f"{run['reads']:.3g} reads"
        if run.get("reads") is not None
        else f"{run['iterations']} iterations"
    )
    times = (
        f"{found['targets'][1e-6]['seconds'] / ours['seconds']:.3g}"
        if ours and found["targets"][1e-6]
        else ""
    )
    return [name, *cells, effort, f"{run['memory_MB']:.0f}" if run else "", times]


def _unreached(found):
    """Why a target was not reached, and how close it came."""
    closest = f"best {found['best'][0]:.0e} in {found['best'][1]:.3g} s" if found["best"] else "no answer"
    stopped = f"; stopped at {found['stopped']:g} s" if found["stopped"] else ""
    trouble = f"; {found['trouble'][:80]}".replace("|", "/") if found["trouble"] else ""
    return f"not reached ({closest}{stopped}{trouble})"


def _number(reads):
    return "—" if reads is None else f"{reads:.3g}"


def _medians(results):
    """Reads over the generated cases with at least 100 rows a feature, nearly separable data apart."""
    cases = [
        name
        for name, about in results["cases"].items()
        if about.get("generated")
        and not about.get("l1_ratio")
        and about["rows"] >= 100 * about["features"]
        and "separable" not in name
    ]
    said = []
    for dtype, target in (("float32", 1e-6), ("float64", 1e-6), ("float64", 1e-10)):
        counts = sorted(
            (reads_to(results, case, dtype, target) or math.inf)
            for case in cases
            if any((e["case"], e["dtype"]) == (case, dtype) for e in results.get("steps", []))
        )
        if counts:
            middle = 0.5 * (counts[(len(counts) - 1) // 2] + counts[len(counts) // 2])
            said.append(f"{dtype} to {target:.0e}: median {middle:.3g}, worst {counts[-1]:.3g}")
    return (
        "Reads of newton-subsampled over the tall generated cases, "
        f"nearly separable apart: {'; '.join(said)}."
        if said
        else ""
    )


# -- the picture ---------------------------------------------------------------------------------------------


def _front(points):
    """Of points (seconds, suboptimality) those that no faster one beats, the fastest first."""
    front = []
    for point in sorted(points):
        if not front or point[1] < front[-1][1]:
            front.append(point)
    return front


def picture(results):
    """Suboptimality against seconds, a panel a case, as SVG; needs matplotlib."""
    import io

    from matplotlib.figure import Figure

    cases = [case for case in results["cases"] if contestants_of(results, case)]
    names = list(dict.fromkeys(name for case in cases for name in contestants_of(results, case)))
    columns = min(3, len(cases)) or 1
    rows = max(1, math.ceil(len(cases) / columns))
    figure = Figure(figsize=(4.2 * columns, 3.1 * rows + 1.0), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel in panels[len(cases) :]:
        panel.set_axis_off()
    for panel, case in zip(panels, cases, strict=False):
        best = optimum(results, case)
        for name in contestants_of(results, case):
            place = names.index(name)
            mine = _front(
                [
                    (run["seconds"], max(gap(run["value"], best), _FLOOR))
                    for run in results["runs"]
                    if (run["case"], run["contestant"], run["status"]) == (case, name, "ok")
                ]
            )
            panel.plot(
                *zip(*mine, strict=True) if mine else ([], []),
                color=_COLOURS[place % 6],
                marker="osD^v"[place // 6 % 5],
                linestyle=["-", "--", ":"][place // 6 % 3],
                linewidth=2.2 if name == OURS else 1.1,
                markersize=3.5,
            )
        for target in TARGETS:
            panel.axhline(target, color="#dddddd", linewidth=0.8, zorder=0)
        panel.set(xscale="log", yscale="log", xlabel="seconds", ylabel="(F − F*) / F*")
        panel.set_title(case, fontsize=9)
        panel.spines[["top", "right"]].set_visible(False)
    handles = [
        panels[0].plot(
            [],
            [],
            color=_COLOURS[i % 6],
            marker="osD^v"[i // 6 % 5],
            linestyle=["-", "--", ":"][i // 6 % 3],
            label=name,
        )[0]
        for i, name in enumerate(names)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    text = io.StringIO()
    figure.savefig(text, format="svg")
    return text.getvalue()[text.getvalue().index("<svg") :]
