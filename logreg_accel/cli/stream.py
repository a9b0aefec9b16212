"""`logreg-accel train --memory`, for files that need not fit into memory."""

import math
import os
import time

from .. import TableEncoder, scan
from . import UsageError, choosing, page, running
from .output import check_output, for_people, print_facts, print_json
from .plan import tell
from .quality import print_quality, quality, warn_of_weights
from .reading import check_classes, check_target, columns_aside, is_table, layout, listed
from .using import scored, threshold_of, together

_EVERY = 2.0  # seconds between two progress lines of the first read
_WHOLE = ("dtype", "firth", "inference", "test_size")
"""Options that need all rows at once."""


def wanted(options):
    """Whether to read files block by block."""
    return bool(options.memory or options.cache)


def check_checkpoint(options, others):
    """Raise UsageError for an existing checkpoint without --resume, and for one that is another file too."""
    if options.resume and not options.checkpoint:
        raise UsageError("--resume: --checkpoint is missing; expected the file of the fit to continue")
    if options.checkpoint:
        check_output("--checkpoint", options.checkpoint, others)
    if options.checkpoint and not options.resume and os.path.exists(options.checkpoint):
        raise UsageError(
            f"--checkpoint {options.checkpoint} exists; --resume continues from it; delete it to start again"
        )


def train(options, model, progress):
    """Fit a model to files, save it, and print how the fit went."""
    _check(options)
    source = _source(options, progress)
    source.progress = _Reading(source, progress)
    tried = []

    def fit():
        if options.cv:
            tried.extend(choosing.fit_the_best(options, model, source, progress))
        else:
            model.fit(source, checkpoint=options.checkpoint)

    outcome = running.run(model, fit, progress.warn, options.strict)
    samples = _held_out(options, model, progress)
    if aside := columns_aside(options, source.tables.find if source.encoder is not None else str):
        model.aside_ = aside
    model.save(options.model)
    if samples:
        warn_of_weights(model, progress.warn)
    if options.report:
        size = f"{model.n_features_in_:,} features, read block by block"
        page.write_trained(options, model, size, samples, progress.warnings)
    measured = {name: quality(*sample, model.classes_) for name, sample in samples.items()}
    _tell(options, model, measured, tried)
    return outcome.code(options)


def _held_out(options, model, progress):
    """The predictions for held-out rows, if there are any; sets the requested threshold."""
    rows = None
    if options.valid:
        rows = together(scored(options, model, options.target, say=progress.say, files=options.valid))
    if options.threshold is not None:
        held_out = None if rows is None else (rows.y, rows.probability)
        model.threshold_ = threshold_of(options.threshold, model, held_out)
    if rows is None:
        return {}
    label = rows.label
    if options.threshold is not None:
        label = model.classes_[(rows.probability[:, 1] >= model.threshold_).astype(int)]
    return {"test": page.Sample(rows.y, rows.probability, label)}


def _source(options, progress):
    """The rows of the files; tables are encoded, except with --encode none."""
    given = {
        "target": options.target,
        "weight": options.weight,
        "drop": listed(options.drop),
        "memory": options.memory or "4GB",
        "cache": options.cache,
    }
    if not is_table(options.file, options.encode):
        return scan(options.file, **given)
    encoder = TableEncoder(
        min_count=options.min_count,
        categorical=tuple(listed(options.categorical)),
        numeric=tuple(listed(options.numeric)),
        scale=options.scale,
    )
    check_target(options)
    source = scan(options.file, **given, encoder=encoder, layout=layout(options))
    source.on_learned = lambda: _plan(source, progress, options.C != math.inf)
    return source


def _plan(source, progress, penalised):
    """Print the summary of the tables before they are encoded."""
    classes, counts = source.coder.classes
    target = source.wanted.target
    check_classes(target, classes, counts)
    y = source.coder(source.head.column(target).combine_chunks())
    head = source.head.drop_columns([target])
    tell(
        progress, source.tables.name, source.encoder, head, target, y, (classes, counts), penalised=penalised
    )


def _check(options):
    """Raise UsageError for options that do not work block by block."""
    given = [name for name in _WHOLE if getattr(options, name)]
    if isinstance(options.threshold, str) and not options.valid:
        given.append("threshold")
    if options.cv and options.checkpoint:
        raise UsageError("--checkpoint keeps the sums of one fit, and --cv makes many; give one of them")
    if given:
        raise UsageError(
            f"--{given[0].replace('_', '-')} needs all rows in memory, and --memory reads them block by block"
        )
    if options.class_weight not in (None, "balanced"):
        raise UsageError(
            "--class-weight with --memory: expected balanced, or the weights in a column, --weight"
        )


def _tell(options, model, measured, tried):
    facts = {
        "features": model.n_features_in_,
        "classes": len(model.classes_),
        "objective": model.history_[-1].value,
        "status": model.status_,
        "suboptimality": model.suboptimality_,
        "proven": model.suboptimality_bound_,
        "passes": model.n_passes_,
        "seconds": model.history_[-1].seconds,
        "solver": str(model.solver_),
        "backend": str(model.backend_),
        "model": options.model,
    }
    if options.json:
        print_json({**facts, **measured, **({"cv": tried} if tried else {})})
    elif not options.quiet:
        if tried:
            choosing.tell(tried)
        if measured:
            print_quality(f"{options.model} on {options.valid[0]}", measured, model.classes_)
        print_facts("The fit", for_people(facts))


class _Reading:
    """Prints the progress of a read that parses the files."""

    def __init__(self, source, progress):
        self.progress, self.rows, self.part = progress, 0, 0
        self.began = self.told = time.perf_counter()
        self.sizes = [sum(map(os.path.getsize, part.paths)) for part in source.parts]

    def __call__(self, piece):
        if piece.part < self.part:  # another read
            self.rows, self.began = 0, time.perf_counter()
        self.part = piece.part
        self.rows += piece.chunk.X.shape[0]
        now = time.perf_counter()
        if now - self.told < _EVERY:
            return
        self.told, seconds = now, now - self.began
        done, size = sum(self.sizes[: piece.part]), sum(self.sizes)
        left = f", {seconds * (size - done) / done:.0f} s left" if done else ""
        rate = f", {done / seconds / 1e9:.2g} GB/s" if done else ""
        part = f"{piece.part + 1} of {len(self.sizes)} files"
        self.progress.say(f"reading {part}: {self.rows:,} rows in {seconds:.0f} s{rate}{left}")
