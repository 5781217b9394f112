"""Calls a server with NVIDIA's client, tritonclient[grpc], and gRPC's own helpers, and prints one JSON line per check: {"check", "saw"}."""

import json
import queue
import sys
import threading

import grpc
import numpy as np
import tritonclient.grpc as triton
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from tritonclient.utils import InferenceServerException

address, key = sys.argv[1:]
client = triton.InferenceServerClient(url=address)
headers = {"authorization": f"Bearer {key}"}


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
    made.set_data_from_numpy(data)
    return made


said("health", {"live": client.is_server_live(), "ready": client.is_server_ready()})
said("model ready", [client.is_model_ready("mixed"), client.is_model_ready("mixed", "1")])
said("model ready unknown", failure(lambda: client.is_model_ready("nothing")))
said("server metadata", client.get_server_metadata(as_json=True))
said("model metadata", client.get_model_metadata("mixed", "1", as_json=True))

age, plan = np.array([[41], [18]], dtype=np.float32), np.array([["pro"], ["ünï"]], dtype=np.object_)
mixed = [tensor("age", age, "FP32"), tensor("plan", plan, "BYTES")]
answer = client.infer("mixed", mixed, outputs=[triton.InferRequestedOutput("score")], request_id="mine")
said("mixed", {"score": answer.as_numpy("score").tolist(), "response": answer.get_response(as_json=True)})
said("no outputs named", client.infer("mixed", mixed).as_numpy("score").tolist())
said("version", client.infer("mixed", mixed, model_version="1").get_response().model_version)

for name, datatype, dtype, data in [
    ("bool", "BOOL", np.bool_, [True, False]), ("int8", "INT8", np.int8, [-128, 127]), ("int16", "INT16", np.int16, [-32768, 32767]),
    ("int32", "INT32", np.int32, [-(2**31), 2**31 - 1]), ("int64", "INT64", np.int64, [-(2**63), 2**53 + 1, 2**63 - 1]),
    ("uint8", "UINT8", np.uint8, [0, 255]), ("uint16", "UINT16", np.uint16, [0, 65535]), ("uint32", "UINT32", np.uint32, [0, 2**32 - 1]),
    ("uint64", "UINT64", np.uint64, [0, 2**63, 2**64 - 1]), ("fp16", "FP16", np.float16, [0.1, -65504.0]),
    ("fp32", "FP32", np.float32, [0.1, -3.4e38, 1e-45, float("nan")]), ("fp64", "FP64", np.float64, [0.1, 1e308, 5e-324]),
]:
    sent = np.array(data, dtype=dtype).reshape(-1, 1)
    got = client.infer(name, [tensor("X", sent, datatype)]).as_numpy("Y")
    said(f"type {name}", {"equal": sent.tobytes() == got.tobytes(), "dtype": str(got.dtype) == str(sent.dtype)})

words = np.array([["plain"], [""], ["ünï ✓ 𝄞"]], dtype=np.object_)
got = client.infer("strings", [tensor("S", words, "BYTES")]).as_numpy("Y")
said("type strings", {"equal": [w.decode() if isinstance(w, bytes) else w for w in got.ravel()] == words.ravel().tolist()})

results = queue.Queue()
client.async_infer("mixed", mixed, callback=lambda result, error: results.put((result, error)))
result, error = results.get(timeout=10)
said("async", None if error else result.as_numpy("score").tolist())
for coding in ("gzip", "deflate"):
    said(f"compressed {coding}", client.infer("mixed", mixed, compression_algorithm=coding).as_numpy("score").tolist())
large = np.ones((200_000, 1), dtype=np.float32)
for coding in (None, "gzip"):
    got = client.infer("fp32", [tensor("X", large, "FP32")], compression_algorithm=coding).as_numpy("Y")
    said(f"large {coding}", bool(np.array_equal(got, large)))
said("classification", [w.decode() for w in client.infer("fp32", [tensor("X", np.array([[3.5]], dtype=np.float32), "FP32")],
     outputs=[triton.InferRequestedOutput("Y", class_count=1)]).as_numpy("Y").ravel()])
said("priority and timeout", client.infer("mixed", mixed, priority=1, timeout=5_000_000).as_numpy("score").tolist())

streamed = queue.Queue()
client.start_stream(callback=lambda result, error: streamed.put((result, error)))
for i in range(20):
    client.async_stream_infer("nothing" if i == 10 else "mixed", mixed, request_id=str(i))
seen = [streamed.get(timeout=10) for _ in range(20)]
client.stop_stream()
said("stream", [str(error.message()) if error else result.get_response().id for result, error in seen])

wrong = np.array([[41]], dtype=np.int32)
said("error datatype", failure(lambda: client.infer("mixed", [tensor("age", wrong, "INT32"), mixed[1]])))
said("error missing input", failure(lambda: client.infer("mixed", [mixed[0]])))
said("error unknown model", failure(lambda: client.infer("nothing", mixed)))
said("error unknown version", failure(lambda: client.infer("mixed", mixed, model_version="99")))
said("error unknown output", failure(lambda: client.infer("mixed", mixed, outputs=[triton.InferRequestedOutput("scores")])))
said("error deadline", failure(lambda: client.infer("mixed", mixed, timeout=1)))
said("error shared memory", failure(lambda: client.get_system_shared_memory_status()))
said("error log settings", failure(lambda: client.get_log_settings()))
said("error bad key", failure(lambda: client.infer("mixed", mixed, headers={"authorization": "Bearer nonsense"})))
said("with key", client.infer("mixed", mixed, headers=headers).as_numpy("score").tolist())

said("config", client.get_model_config("mixed", as_json=True))
said("statistics", client.get_inference_statistics("mixed", as_json=True))
said("statistics of all", sorted({one["name"] for one in client.get_inference_statistics(as_json=True)["model_stats"]}))
said("index", client.get_model_repository_index(as_json=True))
said("unload without key", failure(lambda: client.unload_model("uint8")))
client.unload_model("uint8", headers=headers)
said("unloaded", failure(lambda: client.infer("uint8", [tensor("X", np.array([[1]], dtype=np.uint8), "UINT8")])))
client.load_model("uint8", headers=headers)
said("loaded", True)

channel = grpc.insecure_channel(address)
health = health_pb2_grpc.HealthStub(channel)
said("health check", [health.Check(health_pb2.HealthCheckRequest(service=name)).status for name in ("", "mixed", "inference.GRPCInferenceService")])
try:
    health.Check(health_pb2.HealthCheckRequest(service="nothing"))
except grpc.RpcError as error:
    said("health unknown", error.code().name)
watched = health.Watch(health_pb2.HealthCheckRequest(service="mixed"))
said("health watch", next(iter(watched)).status)
watched.cancel()

database = ProtoReflectionDescriptorDatabase(channel)
said("reflection services", sorted(database.get_services()))
said("reflection methods", [m.name for m in database.FindFileContainingSymbol("inference.GRPCInferenceService").service[0].method])

# Many calls at once over one connection, from many threads.
scores, threads = [], []
for i in range(8):
    def ask():
        for _ in range(50):
            scores.append(client.infer("mixed", mixed).as_numpy("score").tolist())
    threads.append(threading.Thread(target=ask))
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
said("threads", {"calls": len(scores), "different": len({json.dumps(s) for s in scores})})
client.close()
