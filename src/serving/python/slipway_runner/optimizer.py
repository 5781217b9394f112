"""The tool that makes another ONNX file of one: smaller, or quicker. By ONNX Runtime's own passes and quantisation; the model's inputs and outputs stay."""

import json

import onnx

from .models import package_versions
from .onnx_answer import OnnxAnswer
from .values import NUMPY_TYPES, numpy
from .words import Refused, words_of

PACKAGES = ("onnxruntime", "onnx", "numpy")
CALIBRATION = "calibration.json"
MADE = "optimized.onnx"
# What no inference finds a type of is taken for FP32; graphs in another type have it in their inputs.
UNTYPED = {"DefaultTensorType": onnx.TensorProto.FLOAT}


def load(options, signature, entry):
    try:
        made = STEPS[options["quantize"]](entry, options)
    except Refused:
        raise
    except Exception as error:
        raise Refused("model_unsupported", f"ONNX Runtime's tools refuse it: {words_of(error)}") from error
    model = onnx.load(made)
    kept = {one.key for one in model.metadata_props}
    for one in onnx.load(entry, load_external_data=False).metadata_props:
        if one.key not in kept:
            model.metadata_props.add().CopyFrom(one)
    return OnnxAnswer(model.SerializeToString(), package_versions(*PACKAGES), signature)


def _graph(entry, options):
    """Passes that give operators of the standard only, so that the file runs on every machine."""
    import onnxruntime

    session = onnxruntime.SessionOptions()
    session.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    session.optimized_model_filepath = MADE
    session.log_severity_level = 3
    onnxruntime.InferenceSession(entry, session, providers=["CPUExecutionProvider"])
    onnx.save(_typed(onnx.load(MADE)), MADE)
    return MADE


# Operators of tables whose answers are FP32, which onnx does not infer.
FLOATS = ("Scaler", "Normalizer", "Imputer", "LinearRegressor", "SVMRegressor", "TreeEnsembleRegressor", "OneHotEncoder")


def _typed(model):
    """With the types of what is on the way, and one version of the standard operators: quantisation looks for both."""
    standard = [one for one in model.opset_import if one.domain in ("", "ai.onnx")]
    for one in standard[1:]:
        model.opset_import.remove(one)
    known = {one.name for one in model.graph.value_info}
    for node in model.graph.node:
        if node.domain == "ai.onnx.ml" and node.op_type in FLOATS and node.output[0] not in known:
            model.graph.value_info.append(onnx.helper.make_tensor_value_info(node.output[0], onnx.TensorProto.FLOAT, None))
    return onnx.shape_inference.infer_shapes(model)


def _int8_dynamic(entry, options):
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(_graph(entry, options), f"q-{MADE}", weight_type=QuantType.QInt8, per_channel=True, extra_options=UNTYPED)
    return _changed(f"q-{MADE}")


def _int8_static(entry, options):
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    quantize_static(
        _graph(entry, options), f"q-{MADE}", _Rows(), quant_format=QuantFormat.QDQ, per_channel=True,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, extra_options=UNTYPED,
    )  # fmt: skip
    return _changed(f"q-{MADE}")


def _fp16(entry, options):
    from onnxruntime.transformers.float16 import convert_float_to_float16

    # Callers send and get what they did.
    made = convert_float_to_float16(onnx.load(_graph(entry, options)), keep_io_types=True)
    onnx.save(made, f"h-{MADE}")
    if not any(one.data_type == onnx.TensorProto.FLOAT16 for one in made.graph.initializer):
        raise Refused("model_unsupported", "Nothing in this graph has weights that could be FP16")
    return f"h-{MADE}"


def _changed(path):
    ops = {node.op_type for node in onnx.load(path, load_external_data=False).graph.node}
    if not any("Quant" in op or op.endswith("Integer") for op in ops):
        raise Refused(
            "model_unsupported",
            f"Nothing in this graph can be quantised: it has {', '.join(sorted(ops)[:12])}",
            "Quantisation shrinks products of matrices and convolutions; trees and scalers have none.",
        )
    return path


class _Rows:
    """The rows that calibration runs, one call after another, for onnxruntime's CalibrationDataReader."""

    def __init__(self):
        with open(CALIBRATION, encoding="utf-8") as stream:
            self._calls = iter(json.load(stream))

    def get_next(self):
        call = next(self._calls, None)
        if call is None:
            return None
        return {one["name"]: numpy.array(one["values"], dtype=NUMPY_TYPES[one["datatype"]]).reshape(one["shape"]) for one in call}


STEPS = {"none": _graph, "int8": _int8_dynamic, "int8-static": _int8_static, "fp16": _fp16}
