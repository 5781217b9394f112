"""Models with `predict`: scikit-learn's and those of libraries with its interface, from their own files, without MLflow."""


from .models import package_versions
from .tables import to_table
from .values import to_tensor
from .words import Refused


def load(options, signature, entry):
    model = READERS[options["reader"]](options["file"], options)
    names = [output["method"] for output in options["outputs"]]
    for name in names:
        if not callable(getattr(model, name, None)):
            raise Refused("model_invalid", f"The {type(model).__name__} in {entry} has no {name}()")
    return EstimatorModel(model, options, signature)


class EstimatorModel:
    def __init__(self, model, options, signature):
        self._model = model
        self._methods = [output["method"] for output in options["outputs"]]
        self._as = options["inputs"]
        self._inputs = signature["inputs"]
        self._outputs = signature["outputs"]
        package = type(model).__module__.split(".")[0]
        self.about = [f"{type(model).__module__}.{type(model).__qualname__}"]
        self.about += package_versions(PACKAGES.get(package, package), "numpy")

    def run(self, tensors):
        table = to_table(tensors, self._inputs, self._as)
        given = {}
        for method in self._methods:
            if method not in given:
                given[method] = _empty_or(getattr(self._model, method), table)
        return [to_tensor(self._pick(given[m], spec), spec) for m, spec in zip(self._methods, self._outputs)]

    def _pick(self, value, spec):
        if value is None:
            return _nothing(spec)
        if hasattr(value, "columns") and spec["name"] in list(value.columns):
            return value[spec["name"]]
        return value


def _empty_or(method, table):
    """Most estimators refuse a table without rows; its answer has none either."""
    return None if len(table) == 0 else method(table)


def _nothing(spec):
    from .values import numpy

    return numpy.empty([0, *(max(size, 0) for size in spec["shape"][1:])])


def _pickle(file, options):
    import pickle

    with open(file, "rb") as stream:
        return pickle.load(stream)


def _cloudpickle(file, options):
    import cloudpickle

    with open(file, "rb") as stream:
        return cloudpickle.load(stream)


def _joblib(file, options):
    import joblib

    return joblib.load(file)


def _skops(file, options):
    import skops.io

    # Whoever gave the permission to run code trusts the file: what skops would ask about is told in the version's description.
    return skops.io.load(file, trusted=skops.io.get_untrusted_types(file=file))


def _xgboost(file, options):
    import xgboost

    name = options.get("className")
    if name:
        model = getattr(xgboost, name)()
        model.load_model(file)
        return model
    booster = xgboost.Booster()
    booster.load_model(file)
    return _Booster(booster, lambda table: booster.predict(xgboost.DMatrix(table)))


def _lightgbm(file, options):
    import lightgbm

    return lightgbm.Booster(model_file=file)


def _catboost(file, options):
    import catboost

    model = getattr(catboost, options.get("className") or "CatBoost")()
    model.load_model(file)
    return model


class _Booster:
    def __init__(self, booster, predict):
        self.booster = booster
        self.predict = predict


READERS = {
    "pickle": _pickle, "cloudpickle": _cloudpickle, "joblib": _joblib, "skops": _skops,
    "xgboost": _xgboost, "lightgbm": _lightgbm, "catboost": _catboost,
}  # fmt: skip
PACKAGES = {"sklearn": "scikit-learn"}

