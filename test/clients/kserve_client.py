"""KServe's InferenceRESTClient with its first protocol, and the CloudEvents package, unchanged. Prints a JSON line a check."""

import asyncio
import base64
import json
import pathlib
import sys

import httpx
from cloudevents.conversion import to_binary, to_structured
from cloudevents.http import CloudEvent
from kserve import InferenceRESTClient, RESTConfig

url, models, picture = sys.argv[1:]
case = json.loads(pathlib.Path(models, "random-forest.json").read_text())
ROWS, LABELS = case["inputs"]["X"], case["outputs"]["label"]


async def check(name, run):
    try:
        saw = await run()
    except httpx.HTTPStatusError as error:
        saw = {"status": error.response.status_code, "message": str(error)}
    print(json.dumps({"check": name, "saw": saw}), flush=True)


async def event(convert):
    made = CloudEvent({"type": "com.example.sample", "source": "https://example.com/test"}, {"instances": ROWS})
    headers, body = convert(made)
    async with httpx.AsyncClient() as client:
        answer = await client.post(f"{url}/v1/models/forest:predict", headers={"content-type": "application/json", **headers}, content=body)
    answer.raise_for_status()
    found = answer.json()
    rows = found.get("data", found)["predictions"]
    kind = found.get("type") or answer.headers.get("ce-type")
    return {"labels": [row["label"] for row in rows] == LABELS, "type": kind, "content": answer.headers["content-type"]}


async def main():
    client = InferenceRESTClient(RESTConfig(protocol="v1"))

    async def predict():
        answer = await client.infer(url, {"instances": ROWS}, model_name="forest")
        return [row["label"] for row in answer["predictions"]] == LABELS

    async def text():
        return await client.infer(url, {"instances": [{"S": ["ünï ✓"]}]}, model_name="text")

    async def photo():
        file = base64.b64encode(pathlib.Path(picture).read_bytes()).decode()
        return (await client.infer(url, {"instances": [{"b64": file}]}, model_name="photo"))["predictions"][0]["mean"]

    async def models_of():
        async with httpx.AsyncClient() as plain:
            return (await plain.get(f"{url}/v1/models")).json()

    await check("live", lambda: client.is_server_live(url))
    await check("ready", lambda: client.is_model_ready(url, "forest"))
    await check("not ready", lambda: client.is_model_ready(url, "nothing"))
    await check("predict", predict)
    await check("text", text)
    await check("photo", photo)
    await check("models", models_of)
    await check("unknown model", lambda: client.infer(url, {"instances": ROWS}, model_name="nothing"))
    await check("ragged", lambda: client.infer(url, {"instances": [[1.0], [1.0, 2.0]]}, model_name="forest"))
    await check("explain", lambda: client.explain(url, model_name="forest", data={"instances": ROWS}))
    await check("structured event", lambda: event(to_structured))
    await check("binary event", lambda: event(to_binary))


asyncio.run(main())
