"""TorchScript and programs of torch.export: tensors in the order of the signature, whatever comes back by place or by name."""

from .models import package_versions
from .values import to_array, to_tensor


def load(options, signature, entry):
    import torch

    torch.set_num_threads(1)
    if options["kind"] == "script":
        model = torch.jit.load(options["file"], map_location="cpu").eval()
    else:
        model = torch.export.load(options["file"]).module()
    return TorchModel(torch, model, signature)


class TorchModel:
    def __init__(self, torch, model, signature):
        self._torch = torch
        self._model = model
        self._order = [spec["name"] for spec in signature["inputs"]]
        self._outputs = signature["outputs"]
        self.about = package_versions("torch", "numpy")

    def run(self, tensors):
        by_name = {one.name: one for one in tensors}
        given = [self._torch.from_numpy(to_array(by_name[name])) for name in self._order if name in by_name]
        with self._torch.inference_mode():
            result = self._model(*given)
        return [to_tensor(value, spec) for value, spec in zip(picked(result, self._outputs), self._outputs)]


def picked(result, outputs):
    """What a network gave, in the order of the signature."""
    if isinstance(result, dict):
        missing = [spec["name"] for spec in outputs if spec["name"] not in result]
        if missing:
            raise KeyError(f"the model gave no {', '.join(missing)}, but {', '.join(map(str, result))}")
        return [result[spec["name"]] for spec in outputs]
    values = list(result) if isinstance(result, (list, tuple)) else [result]
    if len(values) < len(outputs):
        raise ValueError(f"the model gave {len(values)} tensors, and the signature names {len(outputs)}")
    return values
