"""TensorFlow Lite, by the interpreter of LiteRT or of TensorFlow, whichever the environment has."""

from .models import package_versions
from .values import to_array, to_tensor
from .words import Refused


def load(options, signature, entry):
    return TfliteModel(_interpreter()(model_path=options["file"], num_threads=1), signature)


def _interpreter():
    for module in ("ai_edge_litert.interpreter", "tflite_runtime.interpreter", "tensorflow.lite.python.interpreter"):
        try:
            return __import__(module, fromlist=["Interpreter"]).Interpreter
        except ImportError:
            continue
    raise Refused("model_invalid", "The environment has no interpreter of TensorFlow Lite", "Name ai-edge-litert in requirements.txt, with its version.")


class TfliteModel:
    def __init__(self, interpreter, signature):
        self._interpreter = interpreter
        self._inputs = signature["inputs"]
        self._outputs = signature["outputs"]
        self._shapes = None
        self.about = package_versions("ai-edge-litert", "tflite-runtime", "tensorflow", "numpy")
        found = (len(interpreter.get_input_details()), len(interpreter.get_output_details()))
        if found != (len(self._inputs), len(self._outputs)):
            raise Refused(
                "model_invalid",
                f"The file has {found[0]} inputs and {found[1]} outputs, and the signature {len(self._inputs)} and {len(self._outputs)}",
            )

    def run(self, tensors):
        by_name = {one.name: to_array(one) for one in tensors}
        arrays = [by_name[spec["name"]] for spec in self._inputs]
        shapes = [array.shape for array in arrays]
        if shapes != self._shapes:
            for detail, shape in zip(self._interpreter.get_input_details(), shapes):
                self._interpreter.resize_tensor_input(detail["index"], shape)
            self._interpreter.allocate_tensors()
            self._shapes = shapes
        for detail, array in zip(self._interpreter.get_input_details(), arrays):
            self._interpreter.set_tensor(detail["index"], array)
        self._interpreter.invoke()
        found = [self._interpreter.get_tensor(detail["index"]) for detail in self._interpreter.get_output_details()]
        return [to_tensor(value, spec) for value, spec in zip(found, self._outputs)]
