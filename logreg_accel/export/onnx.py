"""An ONNX graph of a model, in double precision."""

import numpy as np

from ..persistence.writing import write_whole
from .document import plain_labels

_OPSET, _IR = 17, 8  # of 2022: what reads newer ones reads these


def to_onnx(model, path):
    """See `Exports.to_onnx`."""
    graph = _graph(model).SerializeToString()
    write_whole(path, lambda file: file.write(graph))


def _graph(model):
    """The ONNX model; probabilities of a softmax and of a sigmoid are both made of what cannot overflow."""
    try:
        import onnx
    except ImportError as error:
        raise ImportError("`to_onnx` needs onnx: pip install 'logreg-accel[onnx]'.") from error
    from onnx import TensorProto, helper, numpy_helper

    labels = np.array(plain_labels(model.classes_))
    labels = labels.astype({"i": np.int64, "u": np.int64, "U": object}.get(labels.dtype.kind, labels.dtype))
    kinds = {"i": TensorProto.INT64, "f": TensorProto.DOUBLE, "b": TensorProto.BOOL, "O": TensorProto.STRING}
    n, k = model.n_features_in_, len(model.coef_)
    constants = {
        "coef": model.coef_.T.astype(np.float64),
        "intercept": model.intercept_[None].astype(np.float64),
        "classes": labels,
    }
    nodes = [
        helper.make_node("MatMul", ["X", "coef"], ["products"]),
        helper.make_node("Add", ["products", "intercept"], ["margins"]),
    ]
    if k == 1:  # σ(−z) keeps the digits that 1 − σ(z) loses
        constants |= {"zero": np.zeros(1), "one": np.array([1], dtype=np.int64)}
        nodes += [
            helper.make_node("Neg", ["margins"], ["opposite"]),
            helper.make_node("Concat", ["opposite", "margins"], ["both"], axis=1),
            helper.make_node("Sigmoid", ["both"], ["probabilities"]),
            helper.make_node("Greater", ["margins", "zero"], ["positive"]),
            helper.make_node("Cast", ["positive"], ["column"], to=TensorProto.INT64),
            helper.make_node("Squeeze", ["column", "one"], ["code"]),
        ]
    else:
        nodes += [
            helper.make_node("Softmax", ["margins"], ["probabilities"], axis=1),
            helper.make_node("ArgMax", ["margins"], ["code"], axis=1, keepdims=0),
        ]
    nodes.append(helper.make_node("Gather", ["classes", "code"], ["label"]))
    graph = helper.make_graph(
        nodes,
        "logistic_regression",
        [helper.make_tensor_value_info("X", TensorProto.DOUBLE, ["rows", n])],
        [
            helper.make_tensor_value_info("label", kinds[labels.dtype.kind], ["rows"]),
            helper.make_tensor_value_info("probabilities", TensorProto.DOUBLE, ["rows", len(labels)]),
            helper.make_tensor_value_info("margins", TensorProto.DOUBLE, ["rows", k]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    whole = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR)
    whole.producer_name = "logreg_accel"
    if hasattr(model, "feature_names_in_"):
        helper.set_model_props(whole, {"features": "\n".join(map(str, model.feature_names_in_))})
    onnx.checker.check_model(whole)
    return whole
