"""The findings in a table, and one of them in a line."""

import numpy as np

from .judge import FAULTS


def line(v):
    """One verdict."""
    said = f"{v.status or '—'}{' (warned)' if v.warned else ''}, claim {v.claim:.2g}, bound {v.bound:.2g}"
    truth = f"truth {v.least:.2g}" + (f" to {v.most:.2g}" if v.most > 1.01 * v.least + 1e-15 else "")
    if "exception" in v.faults:
        said, truth = v.told.splitlines()[0][:120], "exception"
    more = "".join(f" {name}={v.fit[name]:.3g}" for name in ("max_passes", "from_C") if name in v.fit)
    fit = f"{v.fit['solver']} tol={v.fit['tol']:g} {v.fit['backend']}{more}"
    return f"  {v.seed:6d} {fit}: {said}, {truth} | {v.name}"


def table(found):
    """Counts of each fault by solver, and how tight the bounds are."""
    names = sorted({v.fit["solver"] for v in found})
    rows = [["", "fits", *FAULTS, "unknown", "loose", "bound/truth"]]
    for name in [*names, "all"]:
        own = [v for v in found if name in ("all", v.fit["solver"])]
        counts = [sum(kind in v.faults for v in own) for kind in FAULTS]
        rows.append([name, len(own), *counts, *_tightness(own)])
    widths = [max(len(str(row[i])) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(str(cell).rjust(w) for cell, w in zip(row, widths, strict=True)) for row in rows]
    note = (
        "unknown: fits whose truth the reference leaves open by more than a tenth\n"
        "loose: of fits truly within 1e-8 that have a bound, those whose bound is above 1e-6\n"
        "bound/truth: the median where the truth is above 1e-12"
    )
    return "\n".join([*lines, note])


def _tightness(own):
    """How many truths are unknown, the share of loose bounds, and the median of bound / truth."""
    known = [v for v in own if np.isfinite(v.most)]
    unknown = sum(v.most > 1.1 * v.least + 1e-12 for v in known)
    good = [v for v in known if v.most < 1e-8 and np.isfinite(v.bound)]
    loose = f"{100 * np.mean([v.bound > 1e-6 for v in good]):.1f} %" if good else "–"
    ratios = [v.bound / v.least for v in known if v.least > 1e-12 and np.isfinite(v.bound)]
    return unknown, loose, f"{np.median(ratios):.3g}" if ratios else "–"
