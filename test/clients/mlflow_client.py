"""Calls a server with MLflow's own client of its scoring server, and prints one JSON line per check: {"check", "saw"}.

Arguments: host, port of a server whose default endpoint is the credit-risk sample, the sample's rows as CSV, and a picture.
"""

import base64
import json
import sys

import numpy as np
import pandas as pd
import requests
from mlflow.deployments import PredictionsResponse
from mlflow.pyfunc.scoring_server.client import ScoringServerClient
from mlflow.utils.proto_json_utils import dump_input_data

host, port, rows, picture = sys.argv[1:5]
client = ScoringServerClient(host, int(port))
base = f"http://{host}:{port}"


def said(check, saw):
    print(json.dumps({"check": check, "saw": saw}), flush=True)


def failure(call):
    try:
        call()
    except Exception as error:
        return str(error)
    return None


client.wait_server_ready(timeout=5)
client.ping()
said("version", client.get_version())

frame = pd.read_csv(rows).head(8)
answer = client.invoke(frame)
said("frame", answer.get_predictions(predictions_format="dataframe").to_dict(orient="list"))
shuffled = frame[frame.columns[::-1]]
said("columns in another order", client.invoke(shuffled).get_predictions("dataframe").equals(answer.get_predictions("dataframe")))
said("frame columns", answer.get_predictions("dataframe").columns.tolist())

as_csv = requests.post(f"{base}/invocations", data=frame.to_csv(index=False), headers={"Content-Type": "text/csv"})
said("csv", {"status": as_csv.status_code, "equal": PredictionsResponse.from_json(as_csv.text).get_predictions("dataframe").equals(answer.get_predictions("dataframe"))})
as_records = requests.post(f"{base}/invocations", json={"dataframe_records": frame.to_dict(orient="records")})
said("records", as_records.json() == json.loads(answer.to_json()))


class One(ScoringServerClient):
    """The same client, for one of many endpoints."""

    def __init__(self, name):
        self.url_prefix = f"{base}/m/{name}"


flowers = np.array([[6.8, 2.8, 4.8, 1.4], [6.0, 3.4, 4.5, 1.6]], dtype=np.float32)
said("array", One("iris").invoke(flowers).get_predictions("ndarray").tolist())
texts = pd.DataFrame({"text": ["a good day", 'an awful, "bad" film']})
said("text", One("sentiment").invoke(texts).get_predictions("dataframe").to_dict(orient="list"))
photo = pd.DataFrame({"image": [{"b64": base64.b64encode(open(picture, "rb").read()).decode()}]})
said("picture", One("picture").invoke(photo).get_predictions("dataframe").to_dict(orient="list")["mean"][0])
gap = np.array([[1.5], [np.nan], [-np.inf]], dtype=np.float32)
back = One("fp32").invoke(gap).get_predictions("ndarray")
said("missing values", [str(value) for value in np.ravel(back)])
One("iris").ping()

said("error columns", failure(lambda: client.invoke(frame.drop(columns=["age"]))))
said("error params", failure(lambda: client.invoke(frame, params={"k": 1})))
said("error unknown", failure(lambda: One("nothing").invoke(flowers)))
said("error ping unknown", failure(lambda: One("nothing").ping()))
wrong = requests.post(f"{base}/invocations", data=dump_input_data(frame), headers={"Content-Type": "application/json; format=pandas-split"})
said("error type", {"status": wrong.status_code, "text": wrong.text, "type": wrong.headers["content-type"]})
