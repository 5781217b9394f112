"""SavedModels, called by their signature, and models of Keras."""

import os

from .models import package_versions
from .torch_model import picked
from .values import to_array, to_tensor


def load(options, signature, entry):
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    import tensorflow

    tensorflow.config.threading.set_intra_op_parallelism_threads(1)
    tensorflow.config.threading.set_inter_op_parallelism_threads(1)
    if options["kind"] == "keras":
        # Whoever gave the permission to run code trusts the file, its Lambda layers included.
        model = tensorflow.keras.models.load_model(options["file"], compile=False, safe_mode=False)
        return TensorFlowModel(_by_place(model), None, signature)
    loaded = tensorflow.saved_model.load(".")
    call = loaded.signatures[options["signature"]]
    return TensorFlowModel(lambda given: call(**given), loaded, signature, tensorflow)


def _by_place(model):
    def call(given):
        values = list(given.values())
        return model(values[0] if len(values) == 1 else values, training=False)

    return call


class TensorFlowModel:
    def __init__(self, call, keep, signature, tensorflow=None):
        self._call = call
        self._keep = keep  # its variables live as long as it does
        self._tensorflow = tensorflow
        self._order = [spec["name"] for spec in signature["inputs"]]
        self._outputs = signature["outputs"]
        self.about = package_versions("tensorflow", "tensorflow-cpu", "keras", "numpy")

    def run(self, tensors):
        by_name = {one.name: to_array(one) for one in tensors}
        given = {name: self._value(by_name[name]) for name in self._order if name in by_name}
        result = self._call(given)
        values = picked(result, self._outputs)
        return [to_tensor(value.numpy(), spec) for value, spec in zip(values, self._outputs)]

    def _value(self, array):
        return array if self._tensorflow is None else self._tensorflow.constant(array)
