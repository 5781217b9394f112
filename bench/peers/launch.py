"""One rival of the kit in PEERS_DIR: `list` prints its table as JSON; a name prepares that rival and becomes it.

usage: launch.py list
       launch.py <name> <model> <port> <grpc port>      env: PEERS_DIR, BENCH_DIR

How a rival is started stands in the kit (peers.py) and nowhere else. The process that was started is the rival itself afterwards, so
its pid, its cores and its end are the caller's.
"""
import json, os, pathlib, sys

kit = pathlib.Path(os.environ["PEERS_DIR"]).resolve()
sys.dont_write_bytecode = True
sys.path.insert(0, str(kit))
import peers  # noqa: E402

# A rival in another form than the kit starts it in; the probe that the kit posts to MLflow is one that this app takes too.
here = pathlib.Path(__file__).resolve().parent
kserve = peers.PEERS["kserve"]
peers.PEERS["kserve-v1"] = {**kserve, "cmd": kserve["cmd"].replace("kserve_app.py", str(here / "kserve_v1_app.py")), "path": "/v1/models/{model}:predict", "fmt": "mlflow", "only": []}

if sys.argv[1] == "list":
    shown = ("path", "fmt", "bin", "grpc", "note", "models", "only", "ct")
    print(json.dumps({name: {key: peer[key] for key in shown if key in peer} for name, peer in peers.PEERS.items()}))
    sys.exit(0)

name, model, port, grpc_port = sys.argv[1:]
peer = peers.PEERS[name]
root = pathlib.Path(os.environ["BENCH_DIR"]).resolve()
env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
env.update(BENCH_DIR=str(root), MODEL=model, PORT=port, GPORT=grpc_port, OMP_NUM_THREADS="1", PYTHONPATH=str(kit / "servers"), HERE=str(kit))
env.update(peer.get("env", {}))
folder = kit / "servers"
if peer.get("prepare"):
    folder = peer["prepare"](root, model, int(port), int(grpc_port), env)
os.chdir(folder)
os.execvpe("bash", ["bash", "-c", "exec " + peer["cmd"]], env)
