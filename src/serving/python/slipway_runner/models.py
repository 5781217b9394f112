"""What can be loaded, by the word that the importer gave. Each loader gives an object with `run(tensors) -> tensors` and `about`."""

import importlib

from .words import Refused

LOADERS = {
    "function": "function_model",
    "estimator": "estimator_model",
    "pyfunc": "pyfunc_model",
    "torch": "torch_model",
    "tensorflow": "tensorflow_model",
    "tflite": "tflite_model",
    "handler": "handler_model",
    "triton": "triton_model",
    "huggingface": "huggingface_model",
    # Tools, which no version names: they give another file of the model that they load.
    "converter": "converter",
    "optimizer": "optimizer",
}


def load_model(runtime, message):
    loader = runtime["loader"]
    if loader not in LOADERS:
        raise Refused("model_unsupported", f"There is no loader {loader} in this runner")
    module = importlib.import_module(f".{LOADERS[loader]}", __package__)
    return module.load(runtime["options"], message["signature"], message["entry"])


def package_versions(*names):
    """`numpy 2.4.6`, of those that are there."""
    from importlib import metadata

    told = []
    for name in names:
        try:
            told.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            pass
    return told
