"""Any MLflow model, by its python_function flavor: MLflow itself loads it, in this process."""

from .models import package_versions
from .tables import to_table
from .values import to_array, to_tensor


def load(options, signature, entry):
    import mlflow.pyfunc

    return PyfuncModel(mlflow.pyfunc.load_model(options["folder"]), options, signature)


class PyfuncModel:
    def __init__(self, model, options, signature):
        self._model = model
        self._as = options["inputs"]
        self._inputs = signature["inputs"]
        self._outputs = signature["outputs"]
        self.about = package_versions("mlflow", "mlflow-skinny", *options.get("packages", ()))

    def run(self, tensors):
        if self._as == "tensors":
            given = self._model.predict({one.name: to_array(one) for one in tensors})
        else:
            given = self._model.predict(to_table(tensors, self._inputs, self._as))
        return [to_tensor(self._pick(given, spec), spec) for spec in self._outputs]

    def _pick(self, given, spec):
        name = spec["name"]
        if isinstance(given, dict):
            return given[name] if name in given else next(iter(given.values()))
        if hasattr(given, "columns"):
            columns = list(given.columns)
            if name in columns:
                return given[name]
            if len(self._outputs) > 1 and len(columns) == len(self._outputs):
                return given.iloc[:, self._outputs.index(spec)]
        if isinstance(given, (list, tuple)) and len(self._outputs) > 1:
            return given[self._outputs.index(spec)]
        return given
