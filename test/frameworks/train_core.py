"""Models of scikit-learn, XGBoost, LightGBM, CatBoost, MLflow and Triton's python backend. usage: train_core.py <folder>"""

import json
import pickle
import shutil
import sys
import warnings

import catboost
import joblib
import lightgbm
import numpy as np
import skops.io
import xgboost
from cases import Cases, pinned, signature
from mlflow.models import infer_signature
from skl2onnx import to_onnx
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

warnings.filterwarnings("ignore")
cases = Cases(sys.argv[1])
x, y = load_breast_cancer(return_X_y=True)
asked = x[::60]
sk = pinned("scikit-learn", "numpy", "joblib")

# scikit-learn: pickle, joblib, skops. One environment for the three.
pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(x, y)
answers = {"label": pipeline.predict(asked), "probabilities": pipeline.predict_proba(asked)}
at = cases.place("sk-pickle")
(at / "model.pkl").write_bytes(pickle.dumps(pipeline))
(at / "requirements.txt").write_text("\n".join(sk))
cases.add("sk-pickle", at, {"input": asked}, answers, own="kserve")
names = load_iris().target_names[load_iris().target]
forest = RandomForestClassifier(20, random_state=0).fit(load_iris().data, names)
at = cases.place("sk-joblib")
joblib.dump(forest, at / "model.joblib", compress=3)
(at / "requirements.txt").write_text("\n".join(sk))
rows = load_iris().data[::20]
cases.add("sk-joblib", at, {"input": rows}, {"label": forest.predict(rows), "probabilities": forest.predict_proba(rows)}, own="kserve")
regressor = HistGradientBoostingRegressor(max_iter=20).fit(*load_diabetes(return_X_y=True))
at = cases.place("sk-skops")
skops.io.dump(regressor, at / "model.skops")
(at / "requirements.txt").write_text("\n".join([*sk, *pinned("skops")]))
(at / "slipway.yaml").write_text(signature({"x": {"datatype": "FP64", "shape": [-1, 10]}}, {"y": {"datatype": "FP64", "shape": [-1]}}))
rows = load_diabetes().data[::50]
cases.add("sk-skops", at, {"x": rows}, {"y": regressor.predict(rows)})

# XGBoost and LightGBM, without Python.
for ending in ("json", "ubj"):
    booster = xgboost.train({"objective": "binary:logistic"}, xgboost.DMatrix(x, label=y), 30)
    booster.save_model(cases.folder / f"xgb.{ending}")
    given = booster.predict(xgboost.DMatrix(asked))
    cases.add(f"xgb-{ending}", cases.folder / f"xgb.{ending}", {"input": asked.astype(np.float32)}, {"prediction": given}, code=False, own="kserve")
booster = lightgbm.train({"objective": "multiclass", "num_class": 3, "verbose": -1}, lightgbm.Dataset(*load_iris(return_X_y=True)), 20)
booster.save_model(cases.folder / "lgb.txt")
rows = load_iris().data[::20]
cases.add("lgb", cases.folder / "lgb.txt", {"input": rows}, {"prediction": booster.predict(rows)}, code=False, own="kserve", tolerance=1e-12)

# CatBoost.
model = catboost.CatBoostClassifier(iterations=20, verbose=0, allow_writing_files=False).fit(x, y)
at = cases.place("catboost")
model.save_model(at / "model.cbm")
(at / "slipway.yaml").write_text(
    signature(
        {"x": {"datatype": "FP64", "shape": [-1, 30]}},
        {"label": {"datatype": "INT64", "shape": [-1]}, "scores": {"datatype": "FP64", "shape": [-1, 2], "method": "predict_proba"}},
        pinned("catboost", "numpy", "pandas"),
    )
)
cases.add("catboost", at, {"x": asked}, {"label": model.predict(asked), "scores": model.predict_proba(asked)})

# MLflow: scikit-learn with columns, its own file and python_function of another flavor.
import mlflow  # noqa: E402

frame = load_breast_cancer(as_frame=True).data.iloc[:, :4]
table = make_pipeline(StandardScaler(), LogisticRegression()).fit(frame, y)
few = frame.iloc[::60]
columns = {name: few[name].to_numpy() for name in few.columns}
requirements = pinned("scikit-learn", "numpy", "pandas", "cloudpickle", "mlflow-skinny")
at = cases.folder / "mlflow-sklearn"
mlflow.sklearn.save_model(table, at, signature=infer_signature(few, table.predict(few)), input_example=few.iloc[:2], pip_requirements=requirements)
cases.add("mlflow-sklearn", at, columns, {"prediction": table.predict(few)}, own="mlflow")


class Sum(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input.sum(axis=1)


at = cases.folder / "mlflow-pyfunc"
total = few.sum(axis=1)
mlflow.pyfunc.save_model(at, python_model=Sum(), signature=infer_signature(few, total), pip_requirements=requirements)
cases.add("mlflow-pyfunc", at, columns, {"prediction": total.to_numpy()}, own="mlflow")

# A function with weights beside it, as people keep safetensors.
at = cases.place("function")
np.save(at / "weights.npy", np.arange(4.0))
(at / "requirements.txt").write_text("\n".join(pinned("numpy")))
(at / "predict.py").write_text(
    'import numpy\n\ndef load():\n    return numpy.load("weights.npy")\n\n'
    'def predict(weights, x: "FP64[-1, 4]") -> "FP64[-1]":\n    return x @ weights\n'
)
cases.add("function", at, {"x": few.to_numpy()}, {"prediction": few.to_numpy() @ np.arange(4.0)})

# A repository of Triton with two backends.
repository = cases.place("triton_repo")
io = 'max_batch_size: 8\ninput [ { name: "x" data_type: TYPE_FP32 dims: [ 4 ] } ]\noutput [ { name: "y" data_type: TYPE_FP32 dims: [ 1 ] } ]\n'
(repository / "triton-python" / "1").mkdir(parents=True)
(repository / "triton-python" / "config.pbtxt").write_text(f'name: "triton-python"\nbackend: "python"\n{io}')
(repository / "triton-python" / "1" / "model.py").write_text(
    """
import json
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def initialize(self, args):
        config = json.loads(args["model_config"])
        self.dtype = pb_utils.triton_string_to_numpy(pb_utils.get_output_config_by_name(config, "y")["data_type"])

    def execute(self, requests):
        responses = []
        for request in requests:
            x = pb_utils.get_input_tensor_by_name(request, "x").as_numpy()
            y = x.sum(axis=1, keepdims=True).astype(self.dtype)
            responses.append(pb_utils.InferenceResponse(output_tensors=[pb_utils.Tensor("y", y)]))
        return responses
"""
)
linear = make_pipeline(StandardScaler(), LogisticRegression()).fit(frame.to_numpy().astype(np.float32), y)
(repository / "triton-onnx" / "1").mkdir(parents=True)
(repository / "triton-onnx" / "config.pbtxt").write_text('name: "triton-onnx"\nplatform: "onnxruntime_onnx"\ninstance_group [ { count: 1 } ]\n')
(repository / "triton-onnx" / "1" / "model.onnx").write_bytes(
    to_onnx(linear, frame.to_numpy()[:1].astype(np.float32), options={"zipmap": False}, target_opset={"": 17, "ai.onnx.ml": 3}).SerializeToString()
)
single = few.to_numpy().astype(np.float32)
cases.add("triton-repository", repository, {"x": single}, {"y": single.sum(axis=1, keepdims=True)}, command="import", endpoint="triton-python")
cases.add("triton-onnx", repository, {"X": single}, {"label": linear.predict(single)}, command="none", endpoint="triton-onnx")

# What other servers are told to serve.
others = cases.place("others")
shutil.copy(cases.folder / "xgb.json", others / "model.json")
(others / "model-settings.json").write_text(
    json.dumps({"name": "by-mlserver", "implementation": "mlserver_xgboost.XGBoostModel", "parameters": {"uri": "./model.json"}, "parallel_workers": 1})
)
(others / "isvc.yaml").write_text(
    "apiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\nmetadata: {name: by-kserve}\n"
    f"spec: {{predictor: {{model: {{modelFormat: {{name: xgboost}}, storageUri: 'file://{others}/model.json'}}}}}}\n"
)
(others / "seldon.yaml").write_text(
    "apiVersion: machinelearning.seldon.io/v1\nkind: SeldonDeployment\nmetadata: {name: by-seldon}\n"
    f"spec: {{predictors: [{{name: p, graph: {{name: c, implementation: XGBOOST_SERVER, modelUri: 'file://{others}/model.json'}}}}]}}\n"
)
given = xgboost.Booster(model_file=others / "model.json").predict(xgboost.DMatrix(asked))
for name, file in (("by-mlserver", "model-settings.json"), ("by-kserve", "isvc.yaml"), ("by-seldon", "seldon.yaml")):
    cases.add(name, others / file, {"input": asked.astype(np.float32)}, {"prediction": given}, command="import", code=False, own="kserve")
cases.write()
