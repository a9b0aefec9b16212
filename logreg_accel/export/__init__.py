"""Ways out: a fitted model for scikit-learn, ONNX, JSON and SQL, each in a module of its own."""

import os
from typing import Any, Self

from sklearn.utils.validation import check_is_fitted


class Exports:
    """What an estimator with `coef_`, `intercept_` and `classes_` can be turned into, and made of."""

    def to_sklearn(self) -> Any:
        """The same model as scikit-learn's `LogisticRegression`, fitted: for skops, skl2onnx and the like.

        Returns
        -------
        sklearn.linear_model.LogisticRegression
            With coefficients of the same bits, and the parameters that it has.
        """
        from .scikit import to_sklearn

        check_is_fitted(self)
        return to_sklearn(self)

    @classmethod
    def from_sklearn(cls, model: Any) -> Self:
        """A fitted linear classifier of scikit-learn as one of ours, which predicts the same.

        Parameters
        ----------
        model : LogisticRegression, LogisticRegressionCV or SGDClassifier(loss="log_loss"), fitted
            Of more than two classes, with the softmax.

        Returns
        -------
        LogisticRegression
            Its `status_` is "imported": nothing is known of how far it is from an optimum.

        Raises
        ------
        TypeError, ValueError, NotFittedError
            Another kind of model, one class against the rest, or before `fit`.
        """
        from .scikit import from_sklearn

        return from_sklearn(cls, model)

    def to_dict(self) -> dict:
        """The model as numbers, text and lists: `json.dumps` takes it, and `from_dict` gives it back.

        Floats keep all of their digits. `logreg_accel.export.document.SCHEMA` is its JSON schema; whoever
        reads it needs, of a row x, margins coef·x + intercept, and the link that `link` names. An encoder of
        tables (`encoder_`) goes along, as `TableEncoder.to_dict` tells of it.

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
        """The fitted model that `to_dict` made, as it came or through JSON; `status_` is "imported".

        Raises
        ------
        ValueError
            The document is no such model; the message says where.
        """
        from .document import from_dict

        return from_dict(cls, document)

    def to_onnx(self, path: str | os.PathLike) -> None:
        """Write an ONNX graph in double precision, whole or not at all; it needs `logreg-accel[onnx]`.

        Its input "X" is double (rows, n_features); its outputs are "label", "probabilities" (rows, n_classes)
        and "margins" (rows, 1), or (rows, n_classes) of more than two classes.

        A model with an encoder of tables (`encoder_`) takes the table: an input (rows, 1) for every column
        that it uses, by its name, double or string. A NaN and an empty text are missing; texts have no blanks
        around them.

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
            Labels that are neither text, numbers nor booleans, or a column of the table that is called as an
            output.
        """
        from .onnx import to_onnx

        check_is_fitted(self)
        to_onnx(self, path)

    def to_sql(self, table: str, columns: Any = None) -> str:
        """A SELECT that scores the rows of a table inside a database.

        Beside all columns of the table, whose names must be others, it gives "margin" and "probability" (of
        classes_[1]), of more classes "margin_LABEL" and "probability_LABEL" for each, and "prediction". A row
        with a NULL among its features has NULLs there. It is standard SQL with exp and abs, made for SQLite
        and DuckDB.

        Parameters
        ----------
        table : str
            Its name, "schema.table" for one in a schema.
        columns : sequence of str or None
            Names of the features in the table; None takes `feature_names_in_`. Where the model has an
            encoder of tables (`encoder_`), None takes the table that it encodes, by its rules: NULL is
            missing, blanks around a text do not count, a level that it does not know is rare, or none.

        Returns
        -------
        str

        Raises
        ------
        ValueError
            No names or not as many as features, names that the result has too, labels that SQL has no
            literals for, or weights that are not finite.
        """
        from .sql import to_sql

        check_is_fitted(self)
        return to_sql(self, table, columns)
