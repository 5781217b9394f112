"""
The face of a converted graph: inputs and outputs of the version it was made of, by name, type and shape, so that callers see no difference. What
libraries write has names and shapes of their own.
"""

import onnx
from onnx import TensorProto, helper

from .words import Refused

ELEMENTS = {
    "BOOL": TensorProto.BOOL, "UINT8": TensorProto.UINT8, "UINT16": TensorProto.UINT16, "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64, "INT8": TensorProto.INT8, "INT16": TensorProto.INT16, "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64, "FP16": TensorProto.FLOAT16, "BF16": TensorProto.BFLOAT16, "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE, "BYTES": TensorProto.STRING,
}  # fmt: skip
# What the engine here reads for certain; converters write newer ones by themselves.
OPSET = 18
ML_OPSET = 3
IR_VERSION = 9
PREFIX = "inner_"


class Feed:
    """
    What an input of the graph is made of. `parts` are (name of an input of the version, column or None for all of it); several are joined as
    columns, and a list of values becomes a column.
    """

    def __init__(self, name, parts):
        self.name = name
        self.parts = parts


class Pick:
    """Which output of the graph an output of the version is; of a column, where it is not all of it."""

    def __init__(self, name, column=None):
        self.name = name
        self.column = column


def with_face(inner, signature, feeds, picks):
    """A model that takes and gives what the signature says. `picks` are in the order of its outputs."""
    inner = onnx.compose.add_prefix(inner, PREFIX)
    graph = inner.graph
    known_inputs = {one.name: one for one in graph.input}
    known_outputs = {one.name: one for one in graph.output}
    specs = {spec["name"]: spec for spec in signature["inputs"]}
    before, constants = [], []
    for feed in feeds:
        name = PREFIX + feed.name
        if name not in known_inputs:
            continue  # the converter found that nothing depends on it
        before += _fed(name, known_inputs[name].type.tensor_type.elem_type, feed, specs, constants)
    after = []
    for spec, pick in zip(signature["outputs"], picks):
        given = known_outputs.get(PREFIX + pick.name)
        if given is None or not given.type.HasField("tensor_type"):
            raise Refused("model_unsupported", f"The converted graph has no tensor {pick.name} for the output {spec['name']}")
        after += _picked(given, pick, spec, constants)
    # Values declared by the converter may say other shapes than these nodes give.
    made = helper.make_graph(
        [*before, *graph.node, *after],
        "converted",
        [_value(spec) for spec in signature["inputs"]],
        [_value(spec) for spec in signature["outputs"]],
        initializer=[*graph.initializer, *constants],
        sparse_initializer=list(graph.sparse_initializer),
    )
    opsets = list(inner.opset_import)
    if all(one.domain not in ("", "ai.onnx") for one in opsets):
        opsets.append(helper.make_opsetid("", OPSET))  # it has none but operators of trees
    model = helper.make_model(made, opset_imports=opsets, functions=list(inner.functions))
    model.ir_version = IR_VERSION
    model.producer_name = inner.producer_name
    for side, word in (("inputs", "features"), ("outputs", "labels")):
        for spec in signature[side]:
            if word in spec:
                _note(model, f"slipway.{word}.{spec['name']}", spec[word])
    onnx.checker.check_model(model)
    return model


def _note(model, key, names):
    import json

    entry = model.metadata_props.add()
    entry.key, entry.value = key, json.dumps(names)


def _value(spec):
    sizes = ["rows" if size == -1 and at == 0 else f"{spec['name']}_{at}" if size == -1 else size for at, size in enumerate(spec["shape"])]
    return helper.make_tensor_value_info(spec["name"], ELEMENTS[spec["datatype"]], sizes)


def _constant(constants, values):
    name = f"face_constant_{len(constants)}"
    constants.append(helper.make_tensor(name, TensorProto.INT64, [len(values)], values))
    return name


def _fed(target, element, feed, specs, constants):
    nodes, columns = [], []
    for place, (name, column) in enumerate(feed.parts):
        spec = specs[name]
        at = name
        label = f"face_{target}_{place}"
        if column is not None:
            nodes.append(helper.make_node("Gather", [at, _constant(constants, [column])], [f"{label}_column"], axis=1))
            at = f"{label}_column"
        elif len(spec["shape"]) == 1:
            nodes.append(helper.make_node("Unsqueeze", [at, _constant(constants, [1])], [f"{label}_wide"]))
            at = f"{label}_wide"
        if element != ELEMENTS[spec["datatype"]]:
            if TensorProto.STRING in (element, ELEMENTS[spec["datatype"]]):
                raise Refused("model_unsupported", f"The converted graph takes {name} as another kind of value than {spec['datatype']}")
            nodes.append(helper.make_node("Cast", [at], [f"{label}_cast"], to=element))
            at = f"{label}_cast"
        columns.append(at)
    joined = helper.make_node("Concat", columns, [target], axis=1) if len(columns) > 1 else helper.make_node("Identity", columns, [target])
    return [*nodes, joined]


def _picked(given, pick, spec, constants):
    nodes = []
    at, name = given.name, spec["name"]
    element = given.type.tensor_type.elem_type
    if pick.column is not None:
        nodes.append(helper.make_node("Gather", [at, _constant(constants, [pick.column])], [f"face_{name}_column"], axis=1))
        at = f"face_{name}_column"
    shape = spec["shape"]
    if len(shape) > 0 and shape[0] == -1 and all(size > 0 for size in shape[1:]):
        # Libraries give [rows, 1] and [rows] for the same thing.
        nodes.append(helper.make_node("Reshape", [at, _constant(constants, shape)], [f"face_{name}_shaped"]))
        at = f"face_{name}_shaped"
    wanted = ELEMENTS[spec["datatype"]]
    if TensorProto.STRING in (element, wanted):
        if element != wanted:
            raise Refused("model_unsupported", f"The converted graph gives {name} as another kind of value than {spec['datatype']}")
    else:
        # Always: some converters declare FP64 and give FP32.
        nodes.append(helper.make_node("Cast", [at], [f"face_{name}_cast"], to=wanted))
        at = f"face_{name}_cast"
    return [*nodes, helper.make_node("Identity", [at], [name])]
