"""Models of Triton's python backend: `TritonPythonModel` with `execute(requests)`, and what they import as triton_python_backend_utils."""

import importlib.util
import json
import os
import sys
import types

from .models import package_versions
from .values import NUMPY_TYPES, numpy, to_array, to_tensor
from .words import Refused


def load(options, signature, entry):
    if numpy is None:
        raise Refused("model_invalid", "The environment has no numpy, which this model needs")
    sys.modules["triton_python_backend_utils"] = _utils()
    spec = importlib.util.spec_from_file_location("model", os.path.abspath(options["file"]))
    module = importlib.util.module_from_spec(spec)
    sys.modules["model"] = module
    spec.loader.exec_module(module)
    model = module.TritonPythonModel()
    if hasattr(model, "initialize"):
        model.initialize(_arguments(signature))
    return TritonModel(model, signature)


def _arguments(signature):
    config = {
        "name": "model",
        "max_batch_size": 0,
        "input": [_io(spec) for spec in signature["inputs"]],
        "output": [_io(spec) for spec in signature["outputs"]],
        "parameters": {},
    }
    return {
        "model_config": json.dumps(config),
        "model_instance_kind": "CPU",
        "model_instance_device_id": "0",
        "model_instance_name": "model_0",
        "model_repository": os.getcwd(),
        "model_version": "1",
        "model_name": "model",
    }


def _io(spec):
    return {"name": spec["name"], "data_type": f"TYPE_{_word(spec['datatype'])}", "dims": spec["shape"]}


def _word(datatype):
    return "STRING" if datatype == "BYTES" else datatype


class Tensor:
    def __init__(self, name, array):
        self._name = name
        self._array = array

    def name(self):
        return self._name

    def as_numpy(self):
        return self._array

    def shape(self):
        return list(self._array.shape)

    def is_cpu(self):
        return True


class TritonError(Exception):
    def message(self):
        return str(self)


class InferenceRequest:
    def __init__(self, tensors, outputs):
        self._inputs = tensors
        self._outputs = outputs

    def inputs(self):
        return self._inputs

    def requested_output_names(self):
        return self._outputs

    def request_id(self):
        return ""

    def correlation_id(self):
        return 0

    def parameters(self):
        return "{}"


class InferenceResponse:
    def __init__(self, output_tensors=(), error=None):
        self._outputs = list(output_tensors)
        self._error = error

    def output_tensors(self):
        return self._outputs

    def has_error(self):
        return self._error is not None

    def error(self):
        return self._error


def _utils():
    module = types.ModuleType("triton_python_backend_utils")

    def get_input_tensor_by_name(request, name):
        return next((one for one in request.inputs() if one.name() == name), None)

    def get_output_tensor_by_name(response, name):
        return next((one for one in response.output_tensors() if one.name() == name), None)

    def get_config(config, side, name):
        return next((one for one in config[side] if one["name"] == name), None)

    def triton_string_to_numpy(word):
        datatype = word.removeprefix("TYPE_")
        return numpy.object_ if datatype in ("STRING", "BYTES") else numpy.dtype(NUMPY_TYPES[datatype]).type

    module.Tensor = Tensor
    module.InferenceRequest = InferenceRequest
    module.InferenceResponse = InferenceResponse
    module.TritonError = module.TritonModelException = TritonError
    module.get_input_tensor_by_name = get_input_tensor_by_name
    module.get_output_tensor_by_name = get_output_tensor_by_name
    module.get_input_config_by_name = lambda config, name: get_config(config, "input", name)
    module.get_output_config_by_name = lambda config, name: get_config(config, "output", name)
    module.triton_string_to_numpy = triton_string_to_numpy
    module.Logger = types.SimpleNamespace(
        **{f"log_{level}": lambda text: print(text, file=sys.stderr) for level in ("info", "warn", "error", "verbose")}
    )
    return module


class TritonModel:
    def __init__(self, model, signature):
        self._model = model
        self._outputs = signature["outputs"]
        self.about = package_versions("numpy")

    def run(self, tensors):
        # Texts are bytes there.
        given = [Tensor(one.name, _encoded(one)) for one in tensors]
        responses = self._model.execute([InferenceRequest(given, [spec["name"] for spec in self._outputs])])
        if not isinstance(responses, (list, tuple)) or len(responses) != 1:
            raise ValueError("execute gave no response for its request")
        if responses[0].has_error():
            raise responses[0].error()
        by_name = {one.name(): one.as_numpy() for one in responses[0].output_tensors()}
        missing = [spec["name"] for spec in self._outputs if spec["name"] not in by_name]
        if missing:
            raise KeyError(f"execute gave no {', '.join(missing)}")
        return [to_tensor(by_name[spec["name"]], spec) for spec in self._outputs]


def _encoded(tensor):
    array = to_array(tensor)
    if tensor.datatype == "BYTES":
        flat = numpy.array([one.encode("utf-8") for one in array.ravel()] or [], dtype=object)
        return flat.reshape(array.shape)
    return array
