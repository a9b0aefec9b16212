"""Export of a fitted model to scikit-learn, ONNX, JSON and SQL, with one module for each."""

import os
from typing import Any, Self

from sklearn.utils.validation import check_is_fitted


class Exports:
    """Export and import for an estimator with `coef_`, `intercept_` and `classes_`."""

    def to_sklearn(self) -> Any:
        """The same model as scikit-learn's `LogisticRegression`, fitted: for skops, skl2onnx and the like.

        The features of a model with a table encoder (`encoder_`) are the columns of `encoder_.transform`, and
        have their names. scikit-learn warns if the rows that it predicts have none, as sparse rows do.

        Returns
        -------
        sklearn.linear_model.LogisticRegression
            With bit-identical coefficients, and with those parameters that it has, too.
        """
        from .scikit import to_sklearn

        check_is_fitted(self)
        return to_sklearn(self)

    @classmethod
    def from_sklearn(cls, model: Any) -> Self:
        """A fitted linear classifier of scikit-learn as a model of this class, with the same predictions.

        Parameters
        ----------
        model : LogisticRegression, LogisticRegressionCV or SGDClassifier(loss="log_loss"), fitted
            With more than two classes, a softmax model.

        Returns
        -------
        LogisticRegression
            Its `status_` is "imported": its distance from an optimum is unknown.

        Raises
        ------
        TypeError, ValueError, NotFittedError
            Another kind of model, a one-versus-rest model, or a model that is not fitted.
        """
        from .scikit import from_sklearn

        return from_sklearn(cls, model)

    def to_dict(self) -> dict:
        """The model as numbers, text and lists, for `json.dumps`; `from_dict` turns it into a model again.

        Floats keep all of their digits. `logreg_accel.export.document.SCHEMA` is the JSON schema. To score a
        row x elsewhere, compute the margins coef·x + intercept and apply the link that `link` names. A table
        encoder (`encoder_`) is included in the form of `TableEncoder.to_dict`.

        Returns
        -------
        dict

        Raises
        ------
        ValueError
            Labels that are neither text, numbers nor booleans.
        NotFittedError
            Before `fit`.
        """
        from .document import to_dict

        check_is_fitted(self)
        return to_dict(self)

    @classmethod
    def from_dict(cls, document: dict) -> Self:
        """Return the fitted model of a document, whose `status_` is "imported".

        Parameters
        ----------
        document : dict
            The result of `to_dict`, directly or through JSON.

        Returns
        -------
        LogisticRegression

        Raises
        ------
        ValueError
            The document is not such a model; the message says where it differs.
        """
        from .document import from_dict

        return from_dict(cls, document)

    def to_onnx(self, path: str | os.PathLike) -> None:
        """Write an ONNX graph in double precision, whole or not at all; it needs `logreg-accel[onnx]`.

        The input "X" is double (rows, n_features); the outputs are "label", "probabilities" (rows, n_classes)
        and "margins" (rows, 1), or (rows, n_classes) for more than two classes.

        For a model with a table encoder (`encoder_`) the graph takes the raw table: one input (rows, 1),
        double or string, for every column that the encoder uses, under the name of the column. NaN and the
        empty string are missing values; strings must not have blanks around them.

        Parameters
        ----------
        path : path-like

        Raises
        ------
        ImportError
            onnx is not installed.
        OSError
            The file cannot be written; what was there before is untouched.
        ValueError
            Labels that are neither text, numbers nor booleans, or a column of the table with the name of an
            output.
        """
        from .onnx import to_onnx

        check_is_fitted(self)
        to_onnx(self, path)

    def to_sql(self, table: str, columns: Any = None) -> str:
        """A SELECT that scores the rows of a table inside a database.

        The result has all columns of the table and, under names that the table must not have, "margin" and
        "probability" (of classes_[1]), or "margin_LABEL" and "probability_LABEL" for each of more than two
        classes, and "prediction". These are NULL in rows with a NULL among the features. The statement is
        standard SQL with exp and abs, tested with SQLite and DuckDB.

        Parameters
        ----------
        table : str
            Name of the table, or "schema.table".
        columns : sequence of str or None
            Names of the features in the table; None uses `feature_names_in_`. If the model has a table
            encoder (`encoder_`), None stands for the raw table, which the statement encodes by the same
            rules: NULL is a missing value, blanks around a text do not count, and an unknown level is rare,
            or no level.

        Returns
        -------
        str

        Raises
        ------
        ValueError
            No names or not as many as features, names that are also those of results, labels that have no SQL
            literals, or weights that are not finite.
        """
        from .sql import to_sql

        check_is_fitted(self)
        return to_sql(self, table, columns)
