"""The precision that trees compare in: single behind a graph in double, as scikit-learn's forests and XGBoost do it; double, as LightGBM and
scikit-learn's histogram boosting do."""

import onnx
from onnx import TensorProto, helper

from .values import numpy

TREES = ("TreeEnsembleRegressor", "TreeEnsembleClassifier")


def with_single_trees(model):
    """Casts what goes into trees to FP32. A threshold is moved to the FP32 number that leaves every FP32 value on its side."""
    nodes = []
    for at, node in enumerate(model.graph.node):
        if node.op_type in TREES:
            cast = f"single_{at}"
            nodes.append(helper.make_node("Cast", [node.input[0]], [cast], to=TensorProto.FLOAT))
            node.input[0] = cast
            _make_single(node)
        nodes.append(node)
    made = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(made)
    return model


def with_double_trees(model, thresholds):
    """
    Gives trees that were written with thresholds in FP32 those of the library. `thresholds`: by feature, all that there are. One that FP32 does not tell
    from another stays as it was written.
    """
    known = {}
    for feature, values in thresholds.items():
        for value in values:
            known.setdefault((feature, float(numpy.float32(value))), set()).add(float(value))
    inputs = {one.name: one for one in model.graph.input}
    for node in model.graph.node:
        if node.op_type not in TREES:
            continue
        by_name = {one.name: one for one in node.attribute}
        old = by_name.get("nodes_values") or by_name["nodes_values_as_tensor"]
        written = onnx.numpy_helper.to_array(old.t) if old.name.endswith("tensor") else old.floats
        exact = [known.get((feature, float(numpy.float32(value))), ()) for feature, value in zip(by_name["nodes_featureids"].ints, written)]
        values = [next(iter(found)) if len(found) == 1 else float(value) for found, value in zip(exact, written)]
        node.attribute.remove(old)
        tensor = onnx.numpy_helper.from_array(numpy.array(values, dtype=numpy.float64), "nodes_values_as_tensor")
        node.attribute.append(helper.make_attribute("nodes_values_as_tensor", tensor))
        if node.input[0] in inputs:
            inputs[node.input[0]].type.tensor_type.elem_type = TensorProto.DOUBLE
    for one in model.opset_import:
        if one.domain == "ai.onnx.ml":
            one.version = max(one.version, 3)
    return model


def _make_single(node):
    modes = next((one.strings for one in node.attribute if one.name == "nodes_modes"), ())
    for one in list(node.attribute):
        if not one.name.endswith("_as_tensor"):
            continue
        values = onnx.numpy_helper.to_array(one.t)
        name = one.name.removesuffix("_as_tensor")
        if name == "nodes_values":
            values = _moved(values, modes)
        node.attribute.remove(one)
        node.attribute.append(helper.make_attribute(name, values.astype(numpy.float32).tolist(), attr_type=onnx.AttributeProto.FLOATS))


def _moved(values, modes):
    """For x <= t the largest FP32 that is not above t, for x < t the smallest that is not below; the same sides for every x in FP32."""
    single = values.astype(numpy.float32)
    for at, mode in enumerate(modes):
        if mode in (b"BRANCH_LEQ", b"BRANCH_GT") and single[at] > values[at]:
            single[at] = numpy.nextafter(single[at], numpy.float32(-numpy.inf))
        elif mode in (b"BRANCH_LT", b"BRANCH_GTE") and single[at] < values[at]:
            single[at] = numpy.nextafter(single[at], numpy.float32(numpy.inf))
    return single
