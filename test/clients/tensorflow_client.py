"""TensorFlow Serving's own stubs (tensorflow-serving-api) over grpcio, unchanged, and its REST form by urllib. Prints a JSON line a check.

The package wants all of TensorFlow, of which its stubs use a few messages: those are generated from the server's .proto files.
"""

import json
import pathlib
import sys
import tempfile
import urllib.error
import urllib.request

grpc_address, rest_url, protos, models, picture, key = sys.argv[1:]
stubs = tempfile.mkdtemp()
CODES = 'syntax = "proto3"; package tensorflow.error; enum Code { OK = 0; CANCELLED = 1; UNKNOWN = 2; NOT_FOUND = 5; }'
PASSED_ON = 'syntax = "proto3"; package tensorflow.error; import public "xla/tsl/protobuf/error_codes.proto";'
for place, text in {"xla/tsl": CODES, "tensorflow/core": PASSED_ON}.items():
    pathlib.Path(stubs, "in", place, "protobuf").mkdir(parents=True)
    pathlib.Path(stubs, "in", place, "protobuf/error_codes.proto").write_text(text)
from grpc_tools import protoc  # noqa: E402

files = ["framework/tensor", "example/example", "protobuf/meta_graph", "protobuf/error_codes"]
paths = ["xla/tsl/protobuf/error_codes.proto", *[f"tensorflow/core/{f}.proto" for f in files]]
assert protoc.main(["", f"-I{protos}", f"-I{stubs}/in", f"--python_out={stubs}", *paths]) == 0
sys.path.insert(0, stubs)

import grpc  # noqa: E402
from tensorflow.core.framework import tensor_pb2  # noqa: E402
from tensorflow_serving.apis import (  # noqa: E402
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

channel = grpc.insecure_channel(grpc_address)
stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
FIELDS = {tensor_pb2.DT_FLOAT: "float_val", tensor_pb2.DT_INT64: "int64_val", tensor_pb2.DT_STRING: "string_val"}


def check(name, run):
    try:
        saw = run()
    except grpc.RpcError as error:
        saw = {"status": error.code().name, "message": error.details()}
    except urllib.error.HTTPError as error:
        saw = {"status": error.code, "body": json.loads(error.read())}
    print(json.dumps({"check": name, "saw": saw}), flush=True)


def tensor(rows, dtype=tensor_pb2.DT_FLOAT):
    proto = tensor_pb2.TensorProto(dtype=dtype)
    at, flat = rows, []
    while isinstance(at, list):
        proto.tensor_shape.dim.add(size=len(at))
        at = at[0]

    def walk(items):
        for item in items if isinstance(items, list) else [items]:
            walk(item) if isinstance(item, list) else flat.append(item.encode() if isinstance(item, str) else item)

    walk(rows)
    getattr(proto, FIELDS[dtype]).extend(flat)
    return proto


def golden(name):
    case = json.loads(pathlib.Path(models, f"{name}.json").read_text())
    return case["inputs"], case["outputs"]


def numbers(proto):
    return [round(one, 5) for one in getattr(proto, FIELDS[proto.dtype])]


def predict(model, inputs, **more):
    request = predict_pb2.PredictRequest(**more)
    request.model_spec.name = model
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(value)
    return stub.Predict(request, timeout=20)


def same(found, wanted):
    flat = [one for row in wanted for one in row]
    return max(abs(a - b) for a, b in zip(found, flat, strict=True)) < 1e-4


def forest():
    inputs, outputs = golden("random-forest")
    answer = predict("forest", {"X": tensor(inputs["X"])})
    labels = [int(one) for one in answer.outputs["label"].int64_val]
    return {"labels": labels == outputs["label"], "probabilities": same(numbers(answer.outputs["probabilities"]), outputs["probabilities"]),
            "version": answer.model_spec.version.value, "signature": answer.model_spec.signature_name}


def columns():
    inputs, outputs = golden("columns-onehot-forest")
    kinds = {"visits": tensor_pb2.DT_INT64, "plan": tensor_pb2.DT_STRING, "city": tensor_pb2.DT_STRING}
    answer = predict("columns", {name: tensor(rows, kinds.get(name, tensor_pb2.DT_FLOAT)) for name, rows in inputs.items()}, output_filter=["label"])
    return {"labels": [one.decode() for one in answer.outputs["label"].string_val] == outputs["label"], "outputs": list(answer.outputs)}


def photo():
    file = tensor_pb2.TensorProto(dtype=tensor_pb2.DT_STRING, string_val=[pathlib.Path(picture).read_bytes()])
    file.tensor_shape.dim.add(size=1)
    return numbers(predict("photo", {"image": file}).outputs["mean"])


def text():
    return [one.decode() for one in predict("text", {"S": tensor([["ünï ✓"], [""]], tensor_pb2.DT_STRING)}).outputs["Y"].string_val]


def examples(request, rows):
    for row in rows:
        example = request.input.example_list.examples.add()
        example.features.feature["X"].float_list.value.extend(row)
    return request


def classify():
    inputs, outputs = golden("random-forest")
    request = classification_pb2.ClassificationRequest()
    request.model_spec.name = "forest"
    answer = stub.Classify(examples(request, inputs["X"]), timeout=20)
    return same([one.score for row in answer.result.classifications for one in row.classes], outputs["probabilities"])


def regress():
    inputs, outputs = golden("ridge")
    request = regression_pb2.RegressionRequest()
    request.model_spec.name = "ridge"
    answer = stub.Regress(examples(request, inputs["X"]), timeout=20)
    return max(abs(one.value - row[0]) for one, row in zip(answer.result.regressions, outputs["variable"], strict=True)) < 1e-3


def multi():
    inputs, _ = golden("ridge")
    request = inference_pb2.MultiInferenceRequest()
    task = request.tasks.add(method_name="tensorflow/serving/regress")
    task.model_spec.name = "ridge"
    answer = stub.MultiInference(examples(request, inputs["X"]), timeout=20)
    return [one.WhichOneof("result") for one in answer.results]


def metadata():
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "forest"
    answer = stub.GetModelMetadata(request, timeout=20)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    answer.metadata["signature_def"].Unpack(signatures)
    signature = signatures.signature_def["serving_default"]
    shape = [dim.size for dim in signature.inputs["X"].tensor_shape.dim]
    return {"method": signature.method_name, "shape": shape, "outputs": sorted(signature.outputs)}


def status():
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "forest"
    answer = model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(request, timeout=20)
    return [[one.version, one.state, one.status.error_code] for one in answer.model_version_status]


def rest(path, body=None, headers=None):
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(rest_url + path, data, headers or {}), timeout=20) as answer:
        return json.loads(answer.read())


def rest_forest():
    inputs, outputs = golden("random-forest")
    rows = rest("/v1/models/forest:predict", {"instances": inputs["X"]})["predictions"]
    return [row["label"] for row in rows] == outputs["label"] and same([one for row in rows for one in row["probabilities"]], outputs["probabilities"])


def with_key(value):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "text"
    request.inputs["S"].CopyFrom(tensor([["x"]], tensor_pb2.DT_STRING))
    return list(stub.Predict(request, timeout=20, metadata=[("authorization", f"Bearer {value}")]).outputs)


def unknown_signature():
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = "forest", "other"
    return stub.Predict(request, timeout=20)


check("forest", forest)
check("columns", columns)
check("photo", photo)
check("text", text)
check("classify", classify)
check("regress", regress)
check("multi", multi)
check("metadata", metadata)
check("status", status)
check("unknown model", lambda: predict("nothing", {}))
check("missing input", lambda: predict("forest", {}))
check("wrong type", lambda: predict("forest", {"X": tensor([[1] * 8], tensor_pb2.DT_INT64)}))
check("wrong shape", lambda: predict("forest", {"X": tensor([[1.0, 2.0]])}))
check("unknown signature", unknown_signature)
check("with key", lambda: with_key(key))
check("with a wrong key", lambda: with_key("slipway_live_wrong"))
check("rest forest", rest_forest)
check("rest status", lambda: rest("/v1/models/forest"))
check("rest unknown", lambda: rest("/v1/models/nothing:predict", {"instances": [1]}))
check("rest ragged", lambda: rest("/v1/models/forest:predict", {"instances": [[1.0], [1.0, 2.0]]}))
