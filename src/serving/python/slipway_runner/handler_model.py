"""The handler of a TorchServe archive: a class with `handle`, or a function of that name, called with a list of requests."""

import importlib.util
import inspect
import json
import os
import sys
import types
import zipfile

from .frames import Tensor
from .models import package_versions
from .words import Refused

FOLDER = "archive"


def load(options, signature, entry):
    with zipfile.ZipFile(options["file"]) as archive:
        archive.extractall(FOLDER)
    sys.path.insert(0, os.path.abspath(FOLDER))
    with open(os.path.join(FOLDER, "MAR-INF", "MANIFEST.json"), encoding="utf-8") as stream:
        context = Context(json.load(stream))
    _make_ts()
    path = os.path.join(FOLDER, options["handler"])
    spec = importlib.util.spec_from_file_location("slipway_handler", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["slipway_handler"] = module
    spec.loader.exec_module(module)
    return HandlerModel(_callable(module, options["function"], context), context, signature)


class NoMetrics:
    """Takes what handlers count, and keeps none of it."""

    def __getattr__(self, name):
        return lambda *args, **kwargs: None


class Context:
    """What handlers are told of where they are; the names are TorchServe's."""

    def __init__(self, manifest):
        self.manifest = manifest
        self.system_properties = {"model_dir": os.path.abspath(FOLDER), "gpu_id": None, "batch_size": 1}
        self.model_name = manifest.get("model", {}).get("modelName")
        self.model_yaml_config = {}
        self.explain = False
        self.metrics = NoMetrics()

    def get_request_header(self, idx, key):
        return None

    def set_response_content_type(self, idx, value):
        pass

    def set_response_status(self, code=200, phrase="", idx=0):
        pass


def _callable(module, name, context):
    function = getattr(module, name or "handle", None)
    if callable(function) and not inspect.isclass(function):
        return function
    classes = [
        one
        for one in vars(module).values()
        if inspect.isclass(one) and one.__module__ == module.__name__ and callable(getattr(one, "handle", None))
    ]
    if not classes:
        raise Refused("model_invalid", "The handler has neither a function handle nor a class with one")
    handler = classes[-1]()
    handler.initialize(context)
    return handler.handle


def _make_ts():
    """`from ts.torch_handler.base_handler import BaseHandler`, where TorchServe itself is not installed."""
    if importlib.util.find_spec("ts") is not None:
        return
    base = types.ModuleType("ts.torch_handler.base_handler")
    base.BaseHandler = BaseHandler
    package, handlers = types.ModuleType("ts"), types.ModuleType("ts.torch_handler")
    package.torch_handler, handlers.base_handler = handlers, base
    sys.modules.update({"ts": package, "ts.torch_handler": handlers, "ts.torch_handler.base_handler": base})


class BaseHandler:
    """The steps that handlers of TorchServe override: load, then preprocess, inference, postprocess."""

    def __init__(self):
        self.model = None
        self.device = None
        self.context = None
        self.manifest = None
        self.initialized = False

    def initialize(self, context):
        import torch

        self.context = context
        self.manifest = context.manifest
        self.device = torch.device("cpu")
        name = self.manifest["model"].get("serializedFile")
        if name:
            self.model = torch.jit.load(os.path.join(context.system_properties["model_dir"], name), map_location="cpu").eval()
        self.initialized = True

    def preprocess(self, data):
        import torch

        return torch.as_tensor([row.get("data", row.get("body")) for row in data])

    def inference(self, data, *args, **kwargs):
        import torch

        with torch.inference_mode():
            return self.model(data, *args, **kwargs)

    def postprocess(self, data):
        return data.tolist()

    def handle(self, data, context):
        return self.postprocess(self.inference(self.preprocess(data)))


class HandlerModel:
    def __init__(self, handle, context, signature):
        self._handle = handle
        self._context = context
        self._output = signature["outputs"][0]
        self.about = package_versions("torch", "numpy")

    def run(self, tensors):
        texts = tensors[0].data
        if len(texts) == 0:
            return [Tensor(self._output["name"], "BYTES", (0,), [])]
        self._context.system_properties["batch_size"] = len(texts)
        given = self._handle([{"data": _parsed(text), "body": _parsed(text)} for text in texts], self._context)
        if not isinstance(given, (list, tuple)) or len(given) != len(texts):
            raise ValueError(f"the handler was given {len(texts)} requests, and gave {_count(given)} answers")
        return [Tensor(self._output["name"], "BYTES", (len(texts),), [_text(one) for one in given])]


def _parsed(text):
    """JSON comes parsed, as with TorchServe; any other text as its bytes."""
    try:
        return json.loads(text)
    except ValueError:
        return text.encode("utf-8")


def _count(given):
    return len(given) if isinstance(given, (list, tuple)) else f"a {type(given).__name__} instead of a list of"


def _text(value):
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8")
    return json.dumps(value, default=lambda one: one.tolist())
