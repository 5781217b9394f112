"""
The tool that makes ONNX of a model: it loads the model as its runner would, in the same cage and environment, and gives it to the converter of its
library. Which converter that is: src/serving/conversion/conversion.ts names the packages, this file the code.
"""

import importlib

from .models import package_versions
from .onnx_answer import OnnxAnswer
from .words import Refused, words_of

# By the loader of the version: the module whose `convert(options, signature, entry, floats)` gives a ModelProto.
CONVERTERS = {
    "estimator": "convert_estimator",
    "pyfunc": "convert_estimator",
}
PACKAGES = ("skl2onnx", "onnxmltools", "xgboost", "lightgbm", "catboost", "scikit-learn", "onnx")


def load(options, signature, entry):
    source = options["source"]
    if source["loader"] not in CONVERTERS:
        raise Refused("model_unsupported", f"There is no converter to ONNX for what {source['loader']} loads")
    try:
        module = importlib.import_module(f".{CONVERTERS[source['loader']]}", __package__)
        model = module.convert(source["options"], options["signature"], entry, options["floats"])
    except Refused:
        raise
    except Exception as error:
        raise Refused("model_unsupported", f"Its converter refuses it: {words_of(error)}") from error
    return OnnxAnswer(model.SerializeToString(), package_versions(*PACKAGES), signature)
