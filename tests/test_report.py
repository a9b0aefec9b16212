"""Displays, and the pages that the command line writes about models."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from command_line import run
from sklearn.datasets import load_breast_cancer, load_iris

from logreg_accel import LogisticRegression, inference, logistic_regression_path

pytest.importorskip("matplotlib")
from matplotlib.figure import Figure  # noqa: E402

from logreg_accel.report import ConvergenceDisplay, ForestDisplay, PathDisplay  # noqa: E402
from logreg_accel.report.drawing import draw  # noqa: E402

HOSTILE = ['<script>alert("1")</script>', "a & b", "$x^2_{", "o'clock \u202e"]


@pytest.fixture
def table(tmp_path):
    """A table whose names and labels are HTML or mathematics to whoever does not escape them."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, len(HOSTILE)))
    y = np.where(X @ [1.0, -1.0, 0.5, 0.0] + rng.logistic(size=300) > 0, "<b>yes</b>", "no & never")
    lines = [",".join('"' + name.replace('"', '""') + '"' for name in [*HOSTILE, "<i>target</i>"])]
    lines += [",".join([*map(repr, map(float, row)), label]) for row, label in zip(X, y, strict=True)]
    (tmp_path / "rows.csv").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path / "rows.csv"


class Checked(HTMLParser):
    """Collects what a page must not have, and whether its elements are closed in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.words, self.tags, self.ids, self.foreign = [], [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.tags.append(tag)
        self.ids += [given["id"]] if "id" in given else []
        self.foreign += [v for k, v in attributes if k in ("src", "href", "xlink:href") and v[0] != "#"]
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        self.open.pop() if tag not in ("meta", "br") else None

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def checked(path):
    text = path.read_text(encoding="utf-8")
    page = Checked(text)
    assert not page.open and not page.foreign and len(text) < 1_000_000
    assert not {"script", "i", "link", "iframe"} & set(page.tags)
    assert len(page.ids) == len(set(page.ids)), "a name that two elements have"
    assert set(re.findall(r'(?:url\(|href=")#([^")]+)', text)) <= set(page.ids)
    assert "prefers-color-scheme: dark" in text and 'name="viewport"' in text and "@import" not in text
    assert len(re.findall(r'<svg role="img" aria-label="[^"]+"', text)) == page.tags.count("svg")
    return page, " ".join(page.words)


def test_a_page_about_a_model(table, tmp_path, capsys):
    model, page = tmp_path / "model.npz", tmp_path / "page.html"
    code = run(
        "train", table, "--target", "<i>target</i>", "--model", model, "--report", page, "--test-size", 0.3,
        "--C", "inf", "--inference", "HC1", "--quiet",
    )  # fmt: skip
    assert code == 0
    page, words = checked(page)
    assert page.tags.count("svg") == 5
    for name in [*HOSTILE[:3], "<i>target</i>", "<b>yes</b>"]:
        assert name in words
    for told in ("base rate", "AUC", "On the rows held out", "Intervals of 95 %", "status", "converged"):
        assert told in words
    other = tmp_path / "other.html"
    assert run("evaluate", table, "--target", "<i>target</i>", "--model", model, "--report", other) == 0
    assert "On " in checked(other)[1] and "Measured on" in checked(other)[1]
    assert "AUC" in capsys.readouterr().out


def luminance(colour):
    """Relative luminance of a colour #rrggbb (WCAG 2.2)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    darker, lighter = sorted([luminance(one), luminance(other)])
    return (lighter + 0.05) / (darker + 0.05)


def test_a_page_is_for_every_reader(table, tmp_path):
    """An accessibility checker looks at contrast in both schemes, headings, landmarks and names."""
    path = tmp_path / "page.html"
    options = ("--target", "<i>target</i>", "--model", tmp_path / "m", "--test-size", 0.3, "--quiet")
    assert run("train", table, *options, "--report", path) == 0
    page, _ = checked(path)
    text = path.read_text(encoding="utf-8")
    schemes = [
        dict(re.findall(r"--([\w-]+): (#\w{6})", part)) for part in text.split("prefers-color-scheme")[:2]
    ]
    for scheme in schemes:
        for words in ("ink", "muted"):
            for ground in ("paper", "panel", *(["warn"] if words == "ink" else [])):
                assert contrast(scheme[words], scheme[ground]) >= 4.5, (words, ground)
        for line in (name for name in scheme if name.startswith("series")):
            assert contrast(scheme[line], scheme["paper"]) >= 3, line
    assert set(re.findall(r"<text[^>]*fill: ([^;\"]+)", text)) <= {"var(--ink)", "var(--muted)"}
    assert '<html lang="en">' in text and page.tags.count("main") == page.tags.count("h1") == 1
    assert [tag for tag in page.tags if re.fullmatch("h[1-6]", tag)][0] == "h1"
    assert not {"h3", "h4", "h5", "h6"} & set(page.tags)
    assert page.tags.count("figcaption") == page.tags.count("svg") == page.tags.count("figure")
    assert page.tags.count("caption") == page.tags.count("table")
    regions = re.findall(r'role="region" aria-label="([^"]+)"', text)
    assert len(regions) == len(set(regions)) == page.tags.count("table")
    assert re.findall(r'tabindex="([^"]+)"', text) == ["0"] * len(regions), (
        "focus goes by the order of the page"
    )
    assert text.count("<th ") == text.count('<th scope="')


def test_no_line_is_known_by_its_colour_alone():
    svg = draw(lambda ax: [ax.plot([0, 1], [i, i]) for i in range(6)], "lines")
    assert (
        len(set(re.findall("stroke-dasharray: ([^;]+)", svg))) == 5 and "series-5" in svg
    )  # one is unbroken


def test_a_page_warns(table, tmp_path):
    page = tmp_path / "page.html"
    options = ("--target", "<i>target</i>", "--report", page, "--quiet", "--max-iter", 1)
    assert run("train", table, *options, "--model", tmp_path / "m") == 0
    words = checked(page)[1]
    assert "so they are too optimistic" in words and "stopped (max_iter)" in words
    assert run("train", table, *options, "--model", tmp_path / "m", "--memory", "1GB") == 0
    assert "read block by block" in checked(page)[1]


def test_a_page_is_refused_before_the_work(table, tmp_path, capsys):
    given = ("train", table, "--target", "<i>target</i>", "--model", tmp_path / "m.npz", "--report")
    for name in ("page.pdf", "m.npz"):
        code, _, err = run(*given, tmp_path / name, capsys=capsys)
        assert code == 2 and "--report" in err
    assert run(*given, table) == 2 and not (tmp_path / "m.npz").exists()


@pytest.mark.parametrize("classes", [2, 3])
def test_forest_and_convergence_show_the_model(classes):
    X, y = load_iris(return_X_y=True)
    X = X + np.random.default_rng(0).normal(size=X.shape)
    X, y = (X, y) if classes == 3 else (X[y < 2], y[y < 2])
    fit = LogisticRegression(C=np.inf).fit(X, y)
    found = inference(fit, X, y, vcov="HC1")
    ax = Figure().subplots()
    forest = ForestDisplay.from_estimator(fit, found, output=classes - 2, ax=ax)
    assert forest.ax_ is ax
    chosen = [int(name[1:]) for name in forest.names]
    intervals = found.conf_int()[classes - 2] if classes == 3 else found.conf_int()
    estimates = found.params[:, classes - 2] if classes == 3 else found.params
    np.testing.assert_allclose(forest.estimates, estimates[1:][chosen])
    np.testing.assert_allclose(np.stack([forest.lower, forest.upper], axis=1), intervals[1:][chosen])
    z = (found.zvalues[:, classes - 2] if classes == 3 else found.zvalues)[1:]
    assert chosen == sorted(range(4), key=lambda j: -abs(z[j]))
    shown = ConvergenceDisplay.from_estimator(fit, ax=Figure().subplots())
    assert len(shown.suboptimality) == len(fit.history_)
    values = np.array([record.value for record in fit.history_])
    np.testing.assert_allclose(shown.suboptimality[0], values[0] / values[-1] - 1, rtol=1e-6)
    plain = ForestDisplay.from_estimator(fit, ax=Figure().subplots(), top=2)
    assert plain.lower is None and len(plain.names) == 2


def test_a_model_without_a_history_has_no_convergence():
    from sklearn.linear_model import LogisticRegression as Theirs

    X, y = load_breast_cancer(return_X_y=True)
    model = LogisticRegression.from_sklearn(Theirs(max_iter=5000, solver="newton-cholesky").fit(X, y))
    with pytest.raises(ValueError, match="no history"):
        ConvergenceDisplay.from_estimator(model)


def test_a_path_is_drawn_from_weak_to_strong():
    path = logistic_regression_path(*load_breast_cancer(return_X_y=True), Cs=[1.0, 0.01, 0.1])
    ax = Figure().subplots()
    assert path.plot(ax) is ax and len(ax.lines) == 31
    shown = PathDisplay.from_path(path, names=[f"f{j}" for j in range(30)], ax=Figure().subplots())
    assert shown.Cs.tolist() == [0.01, 0.1, 1.0] and len(shown.ax_.get_legend().get_texts()) == 5
    np.testing.assert_array_equal(shown.lines_[3].get_ydata(), path.coef[[1, 2, 0], 3])


def test_figures_take_the_colours_of_their_page():
    svg = draw(lambda ax: ax.plot([0, 1], label="<b>"), 'a "figure" & more')
    assert "var(--series-0)" in svg and "var(--ink)" in svg and "#0072b2" not in svg.lower()
    assert 'aria-label="a &quot;figure&quot; &amp; more"' in svg


@pytest.mark.parametrize("classes, way", [(2, "--firth, which also gives intervals"), (3, "such as --C 1")])
def test_the_page_of_separated_classes_names_what_is_finite(tmp_path, classes, way):
    data, page = tmp_path / "data.csv", tmp_path / "page.html"
    data.write_text("\n".join(["a,t", *(f"{i + 0.5},{'xyz'[i * classes // 60]}" for i in range(60))]))
    made = run("train", data, "--target", "t", "--model", tmp_path / "m", "--C", "inf", "--report", page)
    text = page.read_text()
    assert made == 0 and way in text and "To see intervals" not in text
