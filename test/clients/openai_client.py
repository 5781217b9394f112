"""Calls a server with OpenAI's client and Google's client of Vertex AI, and prints one JSON line per check: {"check", "saw"}.

Arguments: base URL, an API key, a picture.
"""

import base64
import json
import sys

import openai
from google.api_core.exceptions import GoogleAPICallError
from google.auth.credentials import AnonymousCredentials
from google.cloud.aiplatform_v1.services.prediction_service import PredictionServiceClient
from google.cloud.aiplatform_v1.services.prediction_service.transports.rest import PredictionServiceRestTransport

url, key, picture = sys.argv[1:4]


def said(check, saw):
    print(json.dumps({"check": check, "saw": saw}), flush=True)


for base in ("/v1", "/openai/v1"):
    client = openai.OpenAI(base_url=url + base, api_key=key, max_retries=0)
    answer = client.embeddings.create(model="word-vectors", input=["a good day", "good good good"])
    said(f"embeddings {base}", {"model": answer.model, "vectors": [[round(value, 6) for value in one.embedding] for one in answer.data]})
said("models", sorted(one.id for one in client.models.list()))
said("model", client.models.retrieve("iris").id)


def failure(call):
    try:
        call()
    except openai.APIStatusError as error:
        return {"kind": type(error).__name__, "status": error.status_code, "code": error.code, "message": error.message}
    except GoogleAPICallError as error:
        return {"kind": type(error).__name__, "status": error.code, "message": error.message}
    return None


said("error chat", failure(lambda: client.chat.completions.create(model="iris", messages=[{"role": "user", "content": "hello"}])))
said("error not embedding", failure(lambda: client.embeddings.create(model="iris", input="hello")))
said("error unknown", failure(lambda: client.embeddings.create(model="nothing", input="hello")))
wrong = openai.OpenAI(base_url=url + "/v1", api_key="wrong", max_retries=0)
said("error key", failure(lambda: wrong.embeddings.create(model="word-vectors", input="hello")))

transport = PredictionServiceRestTransport(host=url.removeprefix("http://"), url_scheme="http", credentials=AnonymousCredentials())
vertex = PredictionServiceClient(transport=transport)
auth = [("authorization", f"Bearer {key}")]
place = "projects/default/locations/europe-west1/endpoints/"
flowers = [[6.8, 2.8, 4.8, 1.4], [6.0, 3.4, 4.5, 1.6]]
answer = vertex.predict(endpoint=place + "iris", instances=flowers, metadata=auth)
said("vertex", {"predictions": list(answer.predictions), "version": answer.model_version_id, "model": answer.model})
texts = vertex.predict(endpoint=place + "sentiment", instances=["a good day", "an awful film"], metadata=auth)
said("vertex text", [row["label"] for row in texts.predictions])
photo = vertex.predict(endpoint=place + "picture", instances=[{"b64": base64.b64encode(open(picture, "rb").read()).decode()}], metadata=auth)
said("vertex picture", list(photo.predictions[0]["mean"]))
said("vertex error", failure(lambda: vertex.predict(endpoint=place + "iris", instances=[[1]], metadata=auth)))
said("vertex explain", failure(lambda: vertex.explain(endpoint=place + "iris", instances=flowers, metadata=auth)))
said("vertex project", failure(lambda: vertex.predict(endpoint="projects/other/locations/x/endpoints/iris", instances=flowers, metadata=auth)))
