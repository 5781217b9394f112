"""Calls a server with NVIDIA's client, tritonclient[http], and prints one JSON line per check: {"check", "saw"}.

Arguments: host:port, and a key that may deploy.
"""

import json
import sys

import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

address, key = sys.argv[1:3]
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

def binary(name, data, datatype):
    """As the client sends by default: raw bytes behind the JSON."""
    made = triton.InferInput(name, list(data.shape), datatype)
    made.set_data_from_numpy(data)
    return made


def same(a, b):
    return bool(a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes())


for name, datatype, dtype, data in [
    ("bool", "BOOL", np.bool_, [True, False]), ("int8", "INT8", np.int8, [-128, 127]), ("int16", "INT16", np.int16, [-32768, 32767]),
    ("int32", "INT32", np.int32, [-(2**31), 2**31 - 1]), ("int64", "INT64", np.int64, [-(2**63), 2**63 - 1]),
    ("uint8", "UINT8", np.uint8, [0, 255]), ("uint16", "UINT16", np.uint16, [0, 65535]), ("uint32", "UINT32", np.uint32, [0, 2**32 - 1]),
    ("uint64", "UINT64", np.uint64, [0, 2**64 - 1]), ("fp16", "FP16", np.float16, [0.1, np.inf]),
    ("fp32", "FP32", np.float32, [0.1, np.nan, -np.inf]), ("fp64", "FP64", np.float64, [0.1, 1e308, 5e-324]),
]:
    sent = np.array(data, dtype=dtype).reshape(-1, 1)
    said(f"binary {name}", same(sent, client.infer(name, [binary("X", sent, datatype)]).as_numpy("Y")))
got = client.infer("strings", [binary("S", words, "BYTES")]).as_numpy("Y")
said("binary strings", [w.decode() for w in got.ravel()] == words.ravel().tolist())

# the client's defaults, and every mix of them
said("defaults", client.infer("mixed", [binary("age", age, "FP32"), binary("plan", plan, "BYTES")]).as_numpy("score").tolist())
both = [tensor("age", age, "FP32"), binary("plan", plan, "BYTES")]
said("mixed forms", [client.infer("mixed", both, outputs=[triton.InferRequestedOutput("score", binary_data=flag)]).as_numpy("score").tolist()
                     for flag in (True, False)])
large = np.arange(300_000, dtype=np.float32).reshape(-1, 1)
said("large", same(large, client.infer("fp32", [binary("X", large, "FP32")]).as_numpy("Y")))
for coding in ("gzip", "deflate"):
    answer = client.infer("fp32", [binary("X", large[:5000], "FP32")], request_compression_algorithm=coding,
                          response_compression_algorithm=coding)
    said(f"large {coding}", same(large[:5000], answer.as_numpy("Y")))
pending = [client.async_infer("fp32", [binary("X", large[k : k + 2], "FP32")]) for k in range(20)]
said("async many", [call.get_result().as_numpy("Y").ravel().tolist() for call in pending] == [[k, k + 1] for k in range(20)])

rows = np.array([[1.5, 0.75], [-2, -1]], dtype=np.float32)
specs = client.get_model_metadata("zipmap-strings")
scores = next(one["name"] for one in specs["outputs"] if one["datatype"] == "FP32")
for flag in (True, False):
    wanted = triton.InferRequestedOutput(scores, binary_data=flag, class_count=2)
    answer = client.infer("zipmap-strings", [binary(specs["inputs"][0]["name"], rows, "FP32")], outputs=[wanted]).as_numpy(scores)
    said(f"classes {'binary' if flag else 'json'}", [[w.decode() if isinstance(w, bytes) else w for w in row] for row in answer])

said("priority", client.infer("mixed", mixed, priority=1, timeout=5_000_000).as_numpy("score").tolist())
said("statistics", client.get_inference_statistics("fp32"))
said("all statistics", sorted({one["name"] for one in client.get_inference_statistics()["model_stats"]}))
said("config", client.get_model_config("mixed"))
said("index", client.get_model_repository_index())

may = {"Authorization": f"Bearer {key}"}
said("unload without a key", failure(lambda: client.unload_model("uint8")))
client.unload_model("uint8", headers=may)
said("unloaded", {"ready": client.is_model_ready("uint8"),
                  "index": next(one for one in client.get_model_repository_index() if one["name"] == "uint8"),
                  "infer": failure(lambda: client.infer("uint8", [binary("X", np.array([[1]], dtype=np.uint8), "UINT8")]))})
client.load_model("uint8", headers=may)
said("loaded", {"ready": client.is_model_ready("uint8"),
                "infer": client.infer("uint8", [binary("X", np.array([[1]], dtype=np.uint8), "UINT8")]).as_numpy("Y").tolist()})
said("load with config", failure(lambda: client.load_model("uint8", headers=may, config="{}")))

said("error shape", failure(lambda: client.infer("mixed", [binary("age", age.reshape(1, 2), "FP32"), mixed[1]])))
said("error rows", failure(lambda: client.infer("mixed", [binary("age", age[:1], "FP32"), mixed[1]])))
short = binary("age", age[:1], "FP32")
short.set_shape([2, 1])
said("error bytes", failure(lambda: client.infer("mixed", [short, mixed[1]])))
said("error sequence", failure(lambda: client.infer("mixed", mixed, sequence_id=5, sequence_start=True)))
said("error shared memory", failure(lambda: client.get_system_shared_memory_status()))
client.close()
