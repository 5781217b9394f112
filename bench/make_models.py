"""Writes models/tab.onnx and models/tab-rows.json: what the serving benchmark runs.

    python3 -m venv .venv && .venv/bin/pip install -r requirements.txt && .venv/bin/python make_models.py

The model is the usual kind for tables: 100 boosted trees of depth 6 over 30 floats, trained on scikit-learn's synthetic classification data.
tab-rows.json says how its rows are spread (mean, and the Cholesky factor of their covariance), so that the load generator can draw
as many different rows as it wants without carrying them along.
"""

import json
import pathlib

import numpy as np
from skl2onnx import to_onnx
from sklearn.datasets import make_classification
from sklearn.ensemble import GradientBoostingClassifier

OUT = pathlib.Path(__file__).resolve().parent / "models"
SEED = 7

rows, classes = make_classification(n_samples=6000, n_features=30, n_informative=18, random_state=SEED)
rows = rows.astype(np.float32)
model = GradientBoostingClassifier(n_estimators=100, max_depth=6, random_state=SEED).fit(rows, classes)
made = to_onnx(model, rows[:1], name="tab", target_opset={"": 17, "ai.onnx.ml": 3}, options={id(model): {"zipmap": False}})
made.ir_version = 8
made.opset_import.sort(key=lambda o: o.domain)
OUT.mkdir(exist_ok=True)
(OUT / "tab.onnx").write_bytes(made.SerializeToString(deterministic=True))
factor = np.linalg.cholesky(np.cov(rows.T) + 1e-6 * np.eye(30))
(OUT / "tab-rows.json").write_text(json.dumps({"mean": rows.mean(axis=0).round(4).tolist(), "factor": factor.round(4).tolist()}) + "\n")
print({p.name: p.stat().st_size for p in sorted(OUT.iterdir())})
