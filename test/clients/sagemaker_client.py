"""Calls a server with boto3's sagemaker-runtime, and prints one JSON line per check: {"check", "saw"}.

Arguments: base URL, access key id, secret access key, the credit-risk sample's rows as CSV, a picture.
"""

import json
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

url, key_id, secret, rows, picture = sys.argv[1:6]


def client_of(key_id, secret, region="eu-west-1"):
    return boto3.client("sagemaker-runtime", endpoint_url=url, region_name=region, aws_access_key_id=key_id, aws_secret_access_key=secret,
                        config=Config(retries={"total_max_attempts": 1}))


client = client_of(key_id, secret)


def said(check, saw):
    print(json.dumps({"check": check, "saw": saw}), flush=True)


def failure(call):
    try:
        call()
    except ClientError as error:
        answer = error.response
        return {"code": answer["Error"]["Code"], "status": answer["ResponseMetadata"]["HTTPStatusCode"], "message": answer["Error"]["Message"],
                **{name: answer[name] for name in ("OriginalStatusCode", "OriginalMessage") if name in answer}}
    return None


def invoke(name, body, content_type, **more):
    answer = client.invoke_endpoint(EndpointName=name, Body=body, ContentType=content_type, **more)
    return {"type": answer["ContentType"], "variant": answer.get("InvokedProductionVariant"), "attributes": answer.get("CustomAttributes"), "body": answer["Body"].read().decode()}


lines = open(rows).read().splitlines()
said("csv", invoke("credit-risk", "\n".join(lines[1:4]) + "\n", "text/csv"))
said("csv to json", invoke("credit-risk", "\n".join(lines[1:4]), "text/csv", Accept="application/json", CustomAttributes="trace=7", InferenceId="mine"))
flowers = [[6.8, 2.8, 4.8, 1.4], [6.0, 3.4, 4.5, 1.6]]
said("json", invoke("iris", json.dumps({"instances": flowers}), "application/json"))
said("list", invoke("iris", json.dumps(flowers), "application/json"))
said("lines", invoke("iris", "\n".join(json.dumps({"features": row}) for row in flowers), "application/jsonlines"))
said("text", invoke("sentiment", json.dumps({"instances": ["a good day", "an awful film"]}), "application/json"))
said("picture", json.loads(invoke("picture", open(picture, "rb").read(), "image/jpeg")["body"])["predictions"][0]["mean"])
said("variant", invoke("iris", json.dumps(flowers), "application/json", TargetVariant="1")["variant"])
said("target model", invoke("credit-risk", json.dumps(flowers), "application/json", TargetModel="iris.tar.gz")["body"])
stream = client.invoke_endpoint_with_response_stream(EndpointName="iris", Body=json.dumps(flowers), ContentType="application/json")
said("stream", {"type": stream["ContentType"], "body": b"".join(event["PayloadPart"]["Bytes"] for event in stream["Body"]).decode()})
said("other region", client_of(key_id, secret, "us-east-1").invoke_endpoint(EndpointName="iris", Body=json.dumps(flowers), ContentType="application/json")["ResponseMetadata"]["HTTPStatusCode"])
said("error input", failure(lambda: invoke("iris", "[[1]]", "application/json")))
said("error columns", failure(lambda: invoke("credit-risk", "1,2\n", "text/csv")))
said("error unknown", failure(lambda: invoke("nothing", "[[1]]", "application/json")))
said("error variant", failure(lambda: invoke("iris", json.dumps(flowers), "application/json", TargetVariant="99")))
said("error session", failure(lambda: invoke("iris", json.dumps(flowers), "application/json", SessionId="NEW_SESSION")))
said("error accept", failure(lambda: invoke("iris", json.dumps(flowers), "application/json", Accept="application/x-npy")))
said("error secret", failure(lambda: client_of(key_id, secret[:-1] + "x").invoke_endpoint(EndpointName="iris", Body="[]")))
said("error key", failure(lambda: client_of("AKIAIOSFODNN7EXAMPLE", secret).invoke_endpoint(EndpointName="iris", Body="[]")))
