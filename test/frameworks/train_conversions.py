"""Models to convert and to optimise, for conversions.test.ts. usage: train_conversions.py <folder>"""

import json
import pathlib
import sys
import warnings

import joblib
import lightgbm
import numpy as np
import onnx
import pandas as pd
import xgboost
from cases import pinned, signature
from skl2onnx import to_onnx
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.ensemble import GradientBoostingRegressor, HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

warnings.filterwarnings("ignore")
root = pathlib.Path(sys.argv[1])
sk = pinned("scikit-learn", "numpy", "joblib")
x, y = load_breast_cancer(return_X_y=True)
iris = load_iris()
diabetes = load_diabetes()


def place(name, model, *requirements, about=None):
    folder = root / name
    folder.mkdir(parents=True)
    joblib.dump(model, folder / "model.joblib")
    (folder / "requirements.txt").write_text("\n".join([*sk, *requirements]))
    if about is not None:
        (folder / "slipway.yaml").write_text(about)
    return folder


place("logistic", make_pipeline(StandardScaler(), LogisticRegression()).fit(x, y))
place("forest", RandomForestClassifier(30, random_state=0).fit(iris.data, iris.target_names[iris.target]))
place("boosting", GradientBoostingRegressor(random_state=0).fit(diabetes.data, diabetes.target))
place("histogram", HistGradientBoostingRegressor(max_iter=30).fit(diabetes.data, diabetes.target), about=signature(
    {"input": {"datatype": "FP64", "shape": [-1, 10]}}, {"prediction": {"datatype": "FP64", "shape": [-1]}}))  # fmt: skip
place("xgboost-pipeline", make_pipeline(StandardScaler(), xgboost.XGBClassifier(n_estimators=30)).fit(x, y), *pinned("xgboost"))
place("lightgbm", lightgbm.LGBMClassifier(n_estimators=30, verbose=-1).fit(x, y), *pinned("lightgbm"))

rows = 400
random = np.random.default_rng(0)
frame = pd.DataFrame({"age": random.integers(18, 90, rows), "income": random.normal(4000, 1500, rows), "city": random.choice(["Basel", "Bern", "Chur"], rows)})
target = (frame.age + frame.income / 100 + (frame.city == "Bern") * 10 > 100).astype(int)
columns = make_pipeline(
    make_column_transformer((StandardScaler(), ["age", "income"]), (OneHotEncoder(handle_unknown="ignore"), ["city"])), LogisticRegression()
).fit(frame, target)
folder = place("columns", columns, *pinned("pandas"), about=signature(
    {"age": {"datatype": "INT64", "shape": [-1]}, "income": {"datatype": "FP64", "shape": [-1]}, "city": {"datatype": "BYTES", "shape": [-1]}},
    {
        "label": {"datatype": "INT64", "shape": [-1]},
        "probabilities": {"datatype": "FP64", "shape": [-1, 2], "labels": ["no", "yes"], "method": "predict_proba"},
    },
    golden=[{
        "inputs": {"records": json.loads(frame.head(3).to_json(orient="records"))},
        "outputs": {"label": columns.predict(frame.head(3)).tolist(), "probabilities": columns.predict_proba(frame.head(3)).tolist()},
    }],
    reference="rows.csv",
))  # fmt: skip
frame.assign(bought=target).to_csv(folder / "rows.csv", index=False)

xgboost.train({"objective": "binary:logistic"}, xgboost.DMatrix(x, label=y), 20).save_model(root / "booster.json")
lightgbm.train({"objective": "multiclass", "num_class": 3, "verbose": -1}, lightgbm.Dataset(iris.data, iris.target), 20).save_model(root / "booster.txt")

# A small network: what quantisation is for. Its reference set has the truth.
wide = x.astype(np.float32)
network = make_pipeline(StandardScaler(), MLPClassifier((256, 128), max_iter=60, random_state=0)).fit(wide, y)
folder = root / "network"
folder.mkdir()
(folder / "model.onnx").write_bytes(to_onnx(network, wide[:1], options={"zipmap": False}, target_opset={"": 18, "ai.onnx.ml": 3}).SerializeToString())
names = [f"f{at}" for at in range(30)]
(folder / "slipway.yaml").write_text(json.dumps({"signature": {"inputs": {"X": {"features": names}}}, "reference": "rows.csv"}))
pd.DataFrame(wide, columns=names).assign(malignant=y).to_csv(folder / "rows.csv", index=False)

# One that does not survive int8: what decides is a small number beside large ones, and both would share one scale.
weights = np.zeros((30, 2), dtype=np.float32)
weights[29] = [-1, 1]
graph = onnx.helper.make_graph(
    [onnx.helper.make_node("MatMul", ["X", "w"], ["scores"])],
    "fragile",
    [onnx.helper.make_tensor_value_info("X", onnx.TensorProto.FLOAT, ["rows", 30])],
    [onnx.helper.make_tensor_value_info("scores", onnx.TensorProto.FLOAT, ["rows", 2])],
    [onnx.numpy_helper.from_array(weights, "w")],
)
folder = root / "fragile"
folder.mkdir()
onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9), folder / "model.onnx")
shifted = wide.copy()
shifted[:, 29] -= np.median(shifted[:, 29])
(folder / "slipway.yaml").write_text(json.dumps({"signature": {"inputs": {"X": {"features": names}}}, "reference": "rows.csv"}))
pd.DataFrame(shifted, columns=names).to_csv(folder / "rows.csv", index=False)
