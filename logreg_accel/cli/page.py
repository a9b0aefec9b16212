"""The page that `train --report` and `evaluate --report` write about a model."""

import math
from typing import Any, NamedTuple

import numpy as np

from ..persistence.writing import write_whole
from .output import name_of
from .quality import HEADINGS, calibration, measure, quality

_POINTS = 400  # points of a curve; a screen shows no more
_CLASSES = 6  # classes whose curves are drawn


class Sample(NamedTuple):
    """Labelled rows, and the model's predictions for them."""

    y: Any
    probability: Any
    label: Any


def write_trained(options, model, size, samples, warnings):
    """Write the page of a model that `train` has made."""
    target = f" to predict {options.target}" if options.target else ""
    lead = f"Trained{target} on {', '.join(options.file)}: {size}."
    warnings = list(warnings)
    if list(samples) == ["train"]:
        warnings.append(
            "the measures are those of the training rows, so they are too optimistic; --test-size 0.25 holds "
            "some rows out"
        )
    write(options.report, options.model, lead, model, samples, warnings)


def write(path, title, lead, model, samples, warnings=()):
    """Write the page.

    Parameters
    ----------
    path, title : str
    lead : str
        The data that the model was trained on or measured on.
    model : LogisticRegression
    samples : dict of str -> Sample
        By name; the last one is the main result.
    warnings : sequence of str
        About the data and the fit.
    """
    from ..report import page

    measured = {name: quality(*sample, model.classes_) for name, sample in samples.items()}
    told = page.page(
        title,
        page.paragraph(lead, "lead"),
        _cards(page, measured),
        page.section("Warnings", page.bullets(warnings, "warnings")),
        page.section("Quality", *_quality(page, model, samples, measured)),
        page.section("Coefficients", *_coefficients(page, model)),
        page.section("How the fit went", *_fit(page, model)),
        page.section("Columns", _columns(page, model)),
    )
    write_whole(path, lambda file: file.write(told.encode()))


def _cards(page, measured):
    if not measured:
        return ""
    name, found = list(measured.items())[-1]
    whose = {"test": "On the rows held out:", "train": "On the rows that it was trained on:"}
    return page.paragraph(whose.get(name, f"On {name}:")) + page.cards(
        [
            (f"{found['accuracy']:.1%}", f"accuracy; the base rate has {found['base_rate']:.1%}"),
            (f"{found['loss']:.3f}", f"log loss; the base rate has {found['base_loss']:.3f}"),
            (f"{found['auc']:.3f}", "AUC; chance has 0.500"),
            (f"{found['pr_auc']:.3f}", "area under precision and recall"),
        ]
    )


# -- how good ------------------------------------------------------------------------------------------------


def _quality(page, model, samples, measured):
    if not samples:
        return
    classes = model.classes_
    whose = "the likeliest class" if len(classes) > 2 else str(classes[1])
    yield page.figures(
        (
            _roc(samples, classes),
            "ROC: the share of a class that is found, against the share of false alarms.",
        ),
        (
            _precision(samples, classes),
            "Precision and recall: the share of predictions that are right, against the share that is found.",
        ),
        (
            _calibration(samples, classes),
            f"Calibration: how often {whose} came true, against the probability that the model gave it.",
        ),
    )
    of = "means over the classes" if len(classes) > 2 else f"of the class {classes[1]}"
    measures = page.table(
        f"Measures; areas, precision, recall and F1 are {of}",
        ["", *measured],
        [
            [heading, *(measure(found[key]) for found in measured.values())]
            for key, heading in HEADINGS.items()
        ],
    )
    yield page.beside(measures, _confusion(page, samples, classes))


def _confusion(page, samples, classes, most=20):
    name, sample = list(samples.items())[-1]
    if len(classes) > most:
        return ""
    from sklearn.metrics import confusion_matrix

    counts = confusion_matrix(sample.y, sample.label, labels=classes)
    return page.table(
        f"Confusion matrix of {name}: true class (left), predicted class (top)",
        ["", *map(str, classes)],
        [[str(one), *(f"{n:,}" for n in row)] for one, row in zip(classes, counts, strict=True)],
    )


def _curves(samples, classes):
    """(name, hits, scores) of each curve: one per sample for two classes, else one per class."""
    if len(classes) == 2:
        for name, sample in samples.items():
            yield name, sample.y == classes[1], np.asarray(sample.probability)[:, 1]
        return
    sample = list(samples.values())[-1]
    for k, name in enumerate(classes[:_CLASSES]):
        yield str(name), sample.y == name, np.asarray(sample.probability)[:, k]


def _thin(*curves):
    """The same points of several curves, thinned out to what a screen can show."""
    way = np.cumsum(np.hypot(*(np.diff(curve, prepend=curve[0]) for curve in curves[:2])))
    places = np.unique(np.searchsorted(way, np.linspace(0, way[-1], _POINTS)).clip(0, len(way) - 1))
    return [curve[places] for curve in curves]


def _roc(samples, classes):
    from sklearn.metrics import RocCurveDisplay, roc_auc_score, roc_curve

    from ..report.drawing import MUTED, draw

    def plot(ax):
        for name, hit, score in _curves(samples, classes):
            if 0 < hit.mean() < 1:
                false, true = _thin(*roc_curve(hit, score)[:2])
                RocCurveDisplay(fpr=false, tpr=true, roc_auc=roc_auc_score(hit, score)).plot(ax=ax, name=name)
        ax.plot([0, 1], [0, 1], color=MUTED, linestyle="--", linewidth=1)
        ax.set(xlabel="false positive rate", ylabel="true positive rate")

    return draw(plot, "ROC curve", 4.2, 4.2)


def _precision(samples, classes):
    from sklearn.metrics import PrecisionRecallDisplay, average_precision_score, precision_recall_curve

    from ..report.drawing import draw

    def plot(ax):
        for name, hit, score in _curves(samples, classes):
            if hit.any():
                precision, recall = _thin(*precision_recall_curve(hit, score)[:2])
                area = average_precision_score(hit, score)
                shown = PrecisionRecallDisplay(precision, recall, average_precision=area)
                shown.plot(ax=ax, name=name)
        ax.set(xlabel="recall", ylabel="precision", xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))

    return draw(plot, "Precision against recall", 4.2, 4.2)


def _calibration(samples, classes):
    from sklearn.calibration import CalibrationDisplay

    from ..report.drawing import draw

    def plot(ax):
        for place, (name, sample) in enumerate(samples.items()):
            bins = calibration(sample.y, np.asarray(sample.probability), classes)
            found, said = (np.array([b[key] for b in bins]) for key in ("found", "said"))
            shown = CalibrationDisplay(found, said, None)
            style = {"marker": "so"[place % 2], "linestyle": ("-", "--")[place % 2]}
            shown.plot(ax=ax, name=name, ref_line=not place, **style)
        ax.set(xlabel="predicted probability", ylabel="share that came true")

    return draw(plot, "Calibration curve", 4.2, 4.2)


# -- what it says, and how it got there ----------------------------------------------------------------------


def _coefficients(page, model):
    from ..report import ForestDisplay
    from ..report.drawing import draw

    kept = getattr(model, "inference_", None)
    outputs, n = len(model.coef_), min(20, model.n_features_in_)
    height, drawn = 0.9 + 0.24 * n, []
    for output in range(min(outputs, _CLASSES)):
        if kept and output < len(dict.fromkeys(kept["table"].get("outcome", [""]))):
            one = list(dict.fromkeys(kept["table"].get("outcome", [model.classes_[-1]])))[output]

            def plot(ax, output=output):
                ForestDisplay.from_table(kept["table"], output=output, ax=ax)
        elif not kept:
            one = model.classes_[output if outputs > 1 else 1]

            def plot(ax, output=output):
                ForestDisplay.from_estimator(model, output=output, ax=ax)
        else:
            continue
        how = "the surest" if kept else "the largest"
        which = f"{how} {n} of {model.n_features_in_:,}" if n < model.n_features_in_ else "all"
        drawn.append(
            (draw(plot, f"Coefficients for {one}", 5.2, height), f"For {one}: {which} coefficients.")
        )
    yield page.figures(*drawn)
    if kept:
        yield page.paragraph(
            f"Intervals of 95 %; covariance {kept['covariance']}: {kept['formula']}.", "note"
        )
    elif model.status_ == "separable":
        finite = "a penalty, such as --C 1" if outputs > 1 else "--firth, which also gives intervals"
        yield page.paragraph(
            f"Separated classes leave coefficients without a finite optimum. They have one with {finite}.",
            "note",
        )
    elif model.C == math.inf:
        yield page.paragraph("To see intervals, train with --inference HC1.", "note")
    else:
        yield page.paragraph(
            "A penalty draws coefficients towards zero, so that intervals would be wrong; to see "
            "them, train with --C inf --inference HC1.",
            "note",
        )


def _fit(page, model):
    from ..report import ConvergenceDisplay
    from ..report.drawing import draw

    drawn = ""
    if model.history_:
        drawn = page.figures(
            (
                draw(lambda ax: ConvergenceDisplay.from_estimator(model, ax=ax), "Convergence", 5.2, 3.6),
                "Distance from the optimum after each step of the solver.",
            )
        )
    bound = model.suboptimality_bound_
    proof = f"(F − F*)/F is at most {bound:.1e}" if bound < math.inf else "there is none"
    facts = {
        "status": model.status_,
        "proof": proof,
        "estimate of (F − F*)/F": f"{model.suboptimality_:.1e}",
        "reads of the data": f"{model.n_passes_:.4g}",
        "seconds": f"{model.history_[-1].seconds:.3g}" if model.history_ else "-",
        "solver": str(model.solver_),
        "backend": f"{model.backend_} ({model.backend_.reason})" if model.history_ else str(model.backend_),
        "C": f"{model.C:g}",
        "L1 share of the penalty": f"{model.l1_ratio:g}",
        "tol": f"{model.tol:g}",
    }
    yield page.beside(drawn, page.table("The fit", ["", "value"], facts.items(), words=True))


def _columns(page, model):
    from ..table.columns import LeftOut
    from .apply import made_of

    if not hasattr(model, "encoder_"):
        return ""
    rows = [
        [name_of(column), made_of(column) + (f": {column.why}" if isinstance(column, LeftOut) else "")]
        for column in model.encoder_.columns_
    ]
    return page.table("Columns of the table", ["column", "taken as"], rows[:200], words=True)
