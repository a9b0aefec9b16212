"""The summary of an Inference, in statsmodels' layout."""

from .tables import Summary, number


def summary_of(result, alpha=0.05):
    """The Summary of an Inference, with intervals of coverage 1 − alpha."""
    kind = "Logit" if len(result.params.shape) == 1 else "MNLogit"
    covariance = {"iid": "nonrobust", "CRV1": f"CRV1 ({result.n_groups} groups)"}.get(
        result.vcov, result.vcov
    )
    facts = [
        ("Dep. Variable:", result.facts["outcome"]),
        ("Model:", kind),
        ("Method:", result.method),
        ("converged:", str(result.facts["converged"])),
        ("Covariance Type:", covariance),
        ("AIC:", f"{result.aic:.5g}"),
        ("BIC:", f"{result.bic:.5g}"),
        ("No. Observations:", f"{result.nobs:.10g}"),
        ("Df Residuals:", f"{result.df_resid:.6g}"),
        ("Df Model:", f"{result.df_model:.6g}"),
        ("Pseudo R-squ.:", f"{result.prsquared:.4f}"),
        ("Log-Likelihood:", f"{result.llf:.5g}"),
        ("LL-Null:", f"{result.llnull:.5g}"),
        ("LLR p-value:", f"{result.llr_pvalue:.4g}"),
    ]
    table, p = result.table(alpha), len(result.exog_names)
    headings, tables = list(table.columns), []
    for i, outcome in enumerate(result.outcomes):
        first = "" if len(result.params.shape) == 1 else f"{result.facts['outcome']}={outcome}"
        rows = zip(*(column[i * p : (i + 1) * p] for column in table.columns.values()), strict=True)
        cells = [
            [name, *map(number, row, headings)] for name, row in zip(result.exog_names, rows, strict=True)
        ]
        tables.append([[first, *headings], *cells])
    notes = [table.note]
    if len(result.params.shape) > 1:
        notes.append(f"Base class: {result.base}")
    if result.penalised:
        notes.append("With a penalty: errors about a biased mean, so neither p-values nor intervals.")
    return Summary(f"{kind} Regression Results", facts, tables, notes)
