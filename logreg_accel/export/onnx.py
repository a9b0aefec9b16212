"""An ONNX graph of a model, in double precision."""

import numpy as np

from ..persistence.writing import write_whole
from .document import plain_labels
from .encoded import NumberTerm, terms_of

_OPSET, _ML_OPSET, _IR = 17, 2, 8  # of 2022: newer runtimes can read it, too


def to_onnx(model, path):
    """See `Exports.to_onnx`."""
    graph = _graph(model).SerializeToString()
    write_whole(path, lambda file: file.write(graph))


def _graph(model):
    """The ONNX model; probabilities are computed by formulas that cannot overflow."""
    try:
        import onnx
    except ImportError as error:
        raise ImportError("`to_onnx` needs onnx: pip install 'logreg-accel[onnx]'.") from error
    from onnx import TensorProto, helper, numpy_helper

    labels = np.array(plain_labels(model.classes_))
    labels = labels.astype({"i": np.int64, "u": np.int64, "U": object}.get(labels.dtype.kind, labels.dtype))
    kinds = {"i": TensorProto.INT64, "f": TensorProto.DOUBLE, "b": TensorProto.BOOL, "O": TensorProto.STRING}
    k = len(model.coef_)
    start = _of_table if hasattr(model, "encoder_") else _of_matrix
    inputs, nodes, constants = start(model, helper, TensorProto)
    constants |= {"/intercept": model.intercept_[None].astype(np.float64), "/classes": labels}
    nodes.append(helper.make_node("Add", ["/products", "/intercept"], ["margins"]))
    if k == 1:  # σ(−z) keeps the digits that 1 − σ(z) loses
        constants |= {"/zero": np.zeros(1), "/one": np.array([1], dtype=np.int64)}
        nodes += [
            helper.make_node("Neg", ["margins"], ["/opposite"]),
            helper.make_node("Concat", ["/opposite", "margins"], ["/both"], axis=1),
            helper.make_node("Sigmoid", ["/both"], ["probabilities"]),
            helper.make_node("Greater", ["margins", "/zero"], ["/positive"]),
            helper.make_node("Cast", ["/positive"], ["/column"], to=TensorProto.INT64),
            helper.make_node("Squeeze", ["/column", "/one"], ["/code"]),
        ]
    else:
        nodes += [
            helper.make_node("Softmax", ["margins"], ["probabilities"], axis=1),
            helper.make_node("ArgMax", ["margins"], ["/code"], axis=1, keepdims=0),
        ]
    nodes.append(helper.make_node("Gather", ["/classes", "/code"], ["label"]))
    graph = helper.make_graph(
        nodes,
        "logistic_regression",
        inputs,
        [
            helper.make_tensor_value_info("label", kinds[labels.dtype.kind], ["rows"]),
            helper.make_tensor_value_info("probabilities", TensorProto.DOUBLE, ["rows", len(labels)]),
            helper.make_tensor_value_info("margins", TensorProto.DOUBLE, ["rows", k]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid("ai.onnx.ml", _ML_OPSET)]
    whole = helper.make_model(graph, opset_imports=opsets, ir_version=_IR)
    whole.producer_name = "logreg_accel"
    if hasattr(model, "feature_names_in_"):
        helper.set_model_props(whole, {"features": "\n".join(map(str, model.feature_names_in_))})
    onnx.checker.check_model(whole)
    return whole


def _of_matrix(model, helper, types):
    """Inputs, nodes and constants of X·w."""
    given = helper.make_tensor_value_info("X", types.DOUBLE, ["rows", model.n_features_in_])
    nodes = [helper.make_node("MatMul", ["X", "/coef"], ["/products"])]
    return [given], nodes, {"/coef": model.coef_.T.astype(np.float64)}


def _of_table(model, helper, types):
    """The same for the columns of a raw table with the model's encoder.

    The number of a level selects a row of weights, so that no matrix of zeros and ones is needed.
    """
    inputs, nodes, constants, sums = [], [], {"/axis": np.array([1], dtype=np.int64)}, []
    for i, term in enumerate(terms_of(model)):
        if term.name in ("label", "probabilities", "margins"):
            raise ValueError(f"The table has a column {term.name!r}, the name of an output; rename it.")
        at = f"/{i}/"
        number = isinstance(term, NumberTerm)
        kind = types.DOUBLE if number else types.STRING
        inputs.append(helper.make_tensor_value_info(term.name, kind, ["rows", 1]))
        if number:
            constants |= {
                f"{at}scale": np.array(term.scale),
                f"{at}slope": term.slope[None],
                f"{at}missing": term.missing[None],
            }
            nodes += [
                helper.make_node("Div", [term.name, f"{at}scale"], [f"{at}scaled"]),
                helper.make_node("MatMul", [f"{at}scaled", f"{at}slope"], [f"{at}product"]),
                helper.make_node("IsNaN", [term.name], [f"{at}lacks"]),
                helper.make_node("Where", [f"{at}lacks", f"{at}missing", f"{at}product"], [f"{at}term"]),
            ]
        else:
            n = len(term.levels)
            constants[f"{at}weights"] = np.vstack([term.weights, term.other, term.missing])
            codes = {"keys_strings": [*term.levels, ""], "values_int64s": [*range(n), n + 1]}
            nodes += [
                helper.make_node(
                    "LabelEncoder", [term.name], [f"{at}code"], domain="ai.onnx.ml", default_int64=n, **codes
                ),
                helper.make_node("Squeeze", [f"{at}code", "/axis"], [f"{at}row"]),
                helper.make_node("Gather", [f"{at}weights", f"{at}row"], [f"{at}term"]),
            ]
        sums.append(f"{at}term")
    return inputs, [*nodes, helper.make_node("Sum", sums, ["/products"])], constants
