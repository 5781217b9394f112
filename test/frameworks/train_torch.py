"""TorchScript, torch.export and an archive of TorchServe with its handler. usage: train_torch.py <folder>"""

import json
import sys
import zipfile

import numpy as np
import torch
from cases import Cases, pinned, signature

cases = Cases(sys.argv[1])
torch.manual_seed(0)
draw = np.random.default_rng(0)
x = draw.normal(size=(400, 4)).astype(np.float32)
y = (x.sum(1) > 0).astype(np.float32)
network = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2), torch.nn.Softmax(-1))
optimiser = torch.optim.Adam(network.parameters(), 0.01)
for _ in range(60):
    optimiser.zero_grad()
    torch.nn.functional.nll_loss(network(torch.from_numpy(x)).log(), torch.from_numpy(y).long()).backward()
    optimiser.step()
network.eval()
asked = x[:9]
with torch.inference_mode():
    given = network(torch.from_numpy(asked)).numpy()
requirements = pinned("torch", "numpy")
about = signature({"x": {"datatype": "FP32", "shape": [-1, 4]}}, {"scores": {"datatype": "FP32", "shape": [-1, 2]}}, requirements)

at = cases.place("torchscript")
script = torch.jit.trace(network, torch.from_numpy(asked))
torch.jit.save(script, at / "model.pt")
(at / "slipway.yaml").write_text(about)
cases.add("torchscript", at, {"x": asked}, {"scores": given}, own="kserve")

at = cases.place("torch-export")
rows = torch.export.Dim("rows", min=1, max=4096)
torch.export.save(torch.export.export(network, (torch.from_numpy(asked),), dynamic_shapes=({0: rows},)), at / "model.pt2")
(at / "slipway.yaml").write_text(about)
cases.add("torch-export", at, {"x": asked}, {"scores": given})

at = cases.place("mar")
handler = '''
import torch
from ts.torch_handler.base_handler import BaseHandler


class Handler(BaseHandler):
    def preprocess(self, data):
        return torch.tensor([row.get("data") or row.get("body") for row in data], dtype=torch.float32)

    def postprocess(self, data):
        return [{"score": float(row[1])} for row in data]
'''
manifest = {"model": {"modelName": "mar", "handler": "handler.py", "serializedFile": "model.pt", "modelVersion": "1.0"}}
with zipfile.ZipFile(at / "model.mar", "w") as archive:
    archive.writestr("MAR-INF/MANIFEST.json", json.dumps(manifest))
    archive.writestr("handler.py", handler)
    archive.write(cases.folder / "torchscript" / "model.pt", "model.pt")
(at / "slipway.yaml").write_text(json.dumps({"python": {"requirements": requirements}, "golden": [{"inputs": {"records": [{"data": "[1, 2, 3, 4]"}]}, "outputs": {"prediction": [json.dumps({"score": float(network(torch.tensor([[1.0, 2, 3, 4]]))[0, 1])})]}}]}))
cases.add("mar", at, {"data": [json.dumps(row.tolist()) for row in asked]}, {"prediction": [json.dumps({"score": float(row[1])}) for row in given]}, own="torchserve")
cases.write()
