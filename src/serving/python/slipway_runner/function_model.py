"""predict.py: `predict`, and `load` where it is there. Types were read from the annotations when it was imported."""

import importlib.util
import os

from .frames import Tensor
from .values import to_array, to_flat, to_tensor
from .words import Refused


def load(options, signature, entry):
    name = os.path.splitext(os.path.basename(entry))[0]
    spec = importlib.util.spec_from_file_location(name, os.path.abspath(entry))
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules[name] = module
    spec.loader.exec_module(module)
    predict = getattr(module, "predict", None)
    if not callable(predict):
        raise Refused("model_invalid", f"{entry} defines no function predict after it was run")
    first = ()
    if options["load"]:
        first = (module.load(),)
    return FunctionModel(predict, first, options, signature)


class FunctionModel:
    about = ()

    def __init__(self, predict, first, options, signature):
        self._predict = predict
        self._first = first
        self._per_row = options["perRow"]
        self._by_name = options["byName"]
        self._kinds = options["kinds"]
        self._outputs = signature["outputs"]

    def run(self, tensors):
        if self._per_row:
            given = self._rows(tensors)
        else:
            arguments = {one.name: self._argument(one) for one in tensors}
            given = self._predict(*self._first, **arguments)
        return self._results(given)

    def _argument(self, tensor):
        return to_flat(tensor) if self._kinds[tensor.name] == "list" else to_array(tensor)

    def _rows(self, tensors):
        names = [one.name for one in tensors]
        columns = [to_flat(one) for one in tensors]
        given = [self._predict(*self._first, **dict(zip(names, row))) for row in zip(*columns)]
        if not self._by_name:
            return given
        for one in given:
            self._assert_named(one)
        return {spec["name"]: [one[spec["name"]] for one in given] for spec in self._outputs}

    def _results(self, given):
        if not self._by_name:
            return [self._result(given, self._outputs[0])]
        self._assert_named(given)
        return [self._result(given[spec["name"]], spec) for spec in self._outputs]

    def _assert_named(self, given):
        if not isinstance(given, dict):
            raise TypeError(f"predict gave {type(given).__name__}, and its annotation says a dict of its outputs")
        missing = [spec["name"] for spec in self._outputs if spec["name"] not in given]
        if missing:
            raise KeyError(f"predict gave no {', '.join(missing)}")

    def _result(self, value, spec):
        if self._per_row and isinstance(value, list) and len(value) == 0:
            return Tensor(spec["name"], spec["datatype"], (0,), [] if spec["datatype"] == "BYTES" else memoryview(b""))
        return to_tensor(value, spec)
