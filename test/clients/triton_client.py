"""Calls a server with NVIDIA's client, tritonclient[http], and prints one JSON line per check: {"check", "saw"}."""

import json
import sys

import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

address = sys.argv[1]
client = triton.InferenceServerClient(url=address)


def said(check, saw):
    print(json.dumps({"check": check, "saw": saw}), flush=True)


def failure(call):
    """How the client reports an error: its status and message."""
    try:
        call()
    except InferenceServerException as error:
        return {"status": error.status(), "message": error.message()}
    return None


def tensor(name, data, datatype):
    made = triton.InferInput(name, list(data.shape), datatype)
    made.set_data_from_numpy(data, binary_data=False)
    return made


def output(name):
    return triton.InferRequestedOutput(name, binary_data=False)


said("health", {"live": client.is_server_live(), "ready": client.is_server_ready()})
said("model ready", [client.is_model_ready("mixed"), client.is_model_ready("mixed", "1"), client.is_model_ready("mixed", "99"),
                     client.is_model_ready("nothing")])
said("server metadata", client.get_server_metadata())
said("model metadata", client.get_model_metadata("mixed", "1"))

age, plan = np.array([[41], [18]], dtype=np.float32), np.array([["pro"], ["ünï"]], dtype=np.object_)
mixed = [tensor("age", age, "FP32"), tensor("plan", plan, "BYTES")]
answer = client.infer("mixed", mixed, outputs=[output("score")], request_id="mine")
said("mixed", {"score": answer.as_numpy("score").tolist(), "response": answer.get_response()})
said("version", client.infer("mixed", mixed, outputs=[output("score")], model_version="1").get_response()["model_version"])

for name, datatype, dtype, data in [
    ("bool", "BOOL", np.bool_, [True, False]), ("int8", "INT8", np.int8, [-128, 127]), ("int16", "INT16", np.int16, [-32768, 32767]),
    ("int32", "INT32", np.int32, [-(2**31), 2**31 - 1]), ("int64", "INT64", np.int64, [-(2**63), 2**53 + 1, 2**63 - 1]),
    ("uint8", "UINT8", np.uint8, [0, 255]), ("uint16", "UINT16", np.uint16, [0, 65535]), ("uint32", "UINT32", np.uint32, [0, 2**32 - 1]),
    ("uint64", "UINT64", np.uint64, [0, 2**63, 2**64 - 1]), ("fp32", "FP32", np.float32, [0.1, -3.4e38, 1e-45]),
    ("fp64", "FP64", np.float64, [0.1, 1e308, 5e-324]),
]:
    sent = np.array(data, dtype=dtype).reshape(-1, 1)
    got = client.infer(name, [tensor("X", sent, datatype)], outputs=[output("Y")]).as_numpy("Y")
    said(f"type {name}", {"equal": bool(np.array_equal(sent, got)), "dtype": str(got.dtype), "text": [str(v) for v in got.ravel()]})

words = np.array([["plain"], [""], ["ünï ✓ 𝄞"]], dtype=np.object_)
got = client.infer("strings", [tensor("S", words, "BYTES")], outputs=[output("Y")]).as_numpy("Y")
said("type strings", {"equal": [w.decode() if isinstance(w, bytes) else w for w in got.ravel()] == words.ravel().tolist()})

said("async", client.async_infer("mixed", mixed, outputs=[output("score")]).get_result().as_numpy("score").tolist())
for coding in ("gzip", "deflate"):
    said(f"compressed {coding}", client.infer("mixed", mixed, outputs=[output("score")], request_compression_algorithm=coding,
                                              response_compression_algorithm=coding).as_numpy("score").tolist())

wrong = np.array([[41]], dtype=np.int32)
said("error datatype", failure(lambda: client.infer("mixed", [tensor("age", wrong, "INT32"), mixed[1]], outputs=[output("score")])))
said("error missing input", failure(lambda: client.infer("mixed", [mixed[0]], outputs=[output("score")])))
said("error unknown model", failure(lambda: client.infer("nothing", mixed, outputs=[output("score")])))
said("error unknown version", failure(lambda: client.infer("mixed", mixed, outputs=[output("score")], model_version="99")))
said("error unknown output", failure(lambda: client.infer("mixed", mixed, outputs=[output("scores")])))
said("error metadata", failure(lambda: client.get_model_metadata("nothing")))

binary = triton.InferInput("age", [2, 1], "FP32")
binary.set_data_from_numpy(age, binary_data=True)
said("binary input", failure(lambda: client.infer("mixed", [binary, mixed[1]], outputs=[output("score")])))
said("binary output", failure(lambda: client.infer("mixed", mixed, outputs=[triton.InferRequestedOutput("score", binary_data=True)])))
said("no outputs named", failure(lambda: client.infer("mixed", mixed)))
client.close()
