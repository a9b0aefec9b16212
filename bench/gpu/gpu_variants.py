"""Variants of our kernel's launch, to tune kernels/cuda/shapes.py by."""

from logreg_accel.kernels.cuda import shapes

_FIELDS = (
    "name",
    "storage",
    "real",
    "vector",
    "packs",
    "rows",
    "lanes",
    "warps",
    "held",
    "resident",
)


def parse(kernel):
    """The template arguments of `dense<...>` by name; numbers and truths as such."""
    words = kernel.removeprefix("dense<").removesuffix(">").split(", ")
    if len(words) != len(_FIELDS):
        raise ValueError(f"{kernel} has {len(words)} template arguments and not {len(_FIELDS)}")
    values = words[:3] + [
        {"true": True, "false": False}[w] if w in ("true", "false") else int(w) for w in words[3:]
    ]
    return dict(zip(_FIELDS, values, strict=True))


def expression(fields):
    """The inverse of `parse`."""
    return f"dense<{', '.join(str(v).lower() if isinstance(v, bool) else str(v) for v in fields.values())}>"


def vary(launch, m, n, slices=None, lanes=None, **changes):
    """A launch with other template arguments or another number of slices; None where the kernel could not
    take it.

    Rows of a slice stay whole steps. Other lanes bring other packs and warps along.
    """
    fields = parse(launch.kernel)
    if lanes is not None:
        if not 1 <= lanes <= 1024:
            return None
        packs = -(-n // (fields["vector"] * lanes))
        changes = {
            "lanes": lanes,
            "packs": packs,
            "warps": lanes // 32 if lanes > 32 else shapes._BLOCK_WARPS,
            **changes,
        }
    fields |= changes
    in_warp, columns = fields["lanes"] <= 32, fields["packs"] * fields["lanes"] * fields["vector"]
    if not in_warp and fields["lanes"] != 32 * fields["warps"]:
        return None
    if columns < n or fields["rows"] > 32 or fields["packs"] > 32:
        return None
    if in_warp and 4 * fields["warps"] * columns > 40_000:
        return None  # its last sum would not fit the 48 KB of shared memory
    fields["resident"] = max(fields["resident"], 32 * fields["warps"])
    if fields["resident"] > 2048:
        return None
    step = fields["rows"] * (32 // fields["lanes"] * fields["warps"] if in_warp else 1)
    slice_rows = max(1, round((-(-m // slices) if slices else launch.slice_rows) / step)) * step
    return launch._replace(
        kernel=expression(fields),
        grid=-(-m // slice_rows),
        block=32 * fields["warps"],
        slice_rows=slice_rows,
        rows=fields["rows"],
        lanes=fields["lanes"],
    )


def _full_lanes(vector, n, at_most=6):
    """Lanes a row of which few are idle: a power of two in a warp, whole warps beyond; the fullest first."""
    needed = -(-n // vector)
    packs = {v: -(-needed // v) for v in (4, 8, 16, 32, *range(64, 513, 32))}
    full = sorted(packs, key=lambda v: (packs[v] * v, v))
    return [v for v in full if packs[v] <= 8 and packs[v] * v <= 1.3 * needed][:at_most]


def variants(launch, m, n):
    """Launches to try, mostly one thing changed at a time, by importance: (change, launch), each once."""
    fields = parse(launch.kernel)
    rows, lanes = fields["rows"], fields["lanes"]
    changes = [
        {"lanes": v, "rows": r}
        for v in _full_lanes(fields["vector"], n)
        for r in (rows, 2 * rows, rows // 2)
        if r
    ]
    changes += [{"rows": v} for v in (1, 2, 4, 8, 16)]
    changes += [{"resident": v} for v in (256, 384, 512, 640, 768, 1024)]
    changes += [{"slices": v} for v in (1056, 2112, launch.grid // 2, 2 * launch.grid, 4 * launch.grid) if v]
    changes += [{"lanes": v} for v in (lanes * 2, lanes // 2)]
    changes += [{"warps": v} for v in (2, 8) if lanes <= 32]
    changes += [{"held": not fields["held"]}]
    for v in (rows * 2, max(1, rows // 2)):  # together they change how many bytes are under way
        changes += [
            {"rows": v, "resident": 256},
            {"rows": v, "resident": 512},
        ]
    found = {}
    for change in changes:
        other = vary(launch, m, n, **change)
        if other not in (None, launch):
            found.setdefault(other, change)
    return [(change, other) for other, change in found.items()]
