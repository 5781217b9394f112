"""The whole life of a runner process: load what the first frame names, then answer calls until the socket closes."""

import hashlib
import os
import platform
import socket
import sys
import traceback

from . import frames
from .isolation import isolate
from .models import load_model
from .run_loop import Call, RunLoop
from .words import Refused, words_of

CHUNK = 1024 * 1024
MAX_PROCESSES = 256


def serve(link, diary_fd):
    reader = frames.FrameReader()
    send = link.sendall
    loop = None
    specs = []
    while True:
        waits = loop is None or not loop.pending
        try:
            chunk = link.recv(CHUNK, 0 if waits else socket.MSG_DONTWAIT)
        except BlockingIOError:
            loop.run_next()
            continue
        except OSError:
            os._exit(0)
        if chunk == b"":
            os._exit(0)  # whoever started this process is gone, or asked it to end
        for kind, call, rows, value, count, body in reader.push(chunk):
            if kind == frames.INFER:
                loop.add(Call(call, rows, value, frames.read_tensors(body, count, specs)))
            elif kind == frames.CANCEL:
                loop.cancel(call)
            elif kind == frames.LOAD:
                message = frames.read_json(body, rows)
                specs = message["signature"]["inputs"]
                loop = _load(message, send, diary_fd)
        if loop is not None and loop.pending:
            loop.run_next()


def _load(message, send, diary_fd):
    pid = os.getpid()
    send(frames.json_frame(frames.STEP, 0, {"step": "verifying"}))
    try:
        runtime = message["python"]
        for file in message["files"]:
            _verify(file)
        measures = isolate(runtime["network"], MAX_PROCESSES)
        send(frames.json_frame(frames.STEP, 0, {"step": "loading"}))
        sys.path.insert(0, os.getcwd())
        model = load_model(runtime, message)
    except Refused as error:
        _fail(send, {"code": error.code, "message": str(error), **({"hint": error.hint} if error.hint else {})})
    except BaseException as error:
        traceback.print_exc()
        hint = None
        if isinstance(error, ImportError):
            hint = f"Name {error.name or 'the package'} in requirements.txt, with its version, and deploy again."
        _fail(send, {"code": "model_invalid", "message": words_of(error), **({"hint": hint} if hint else {})})
    if os.getpid() != pid:
        os._exit(0)
    about = ", ".join([f"Python {platform.python_version()}", *model.about])
    send(frames.json_frame(frames.READY, 0, {"about": about, "measures": measures}))
    return RunLoop(model, message["canBatch"], message["maxBatchRows"], send, diary_fd)


def _fail(send, told):
    send(frames.json_frame(frames.FAILED, 0, told))
    sys.stderr.flush()
    os._exit(1)


def _verify(file):
    path = file["path"]
    parts = path.split("/")
    if path.startswith("/") or any(part in ("", ".", "..") for part in parts):
        raise Refused("model_refused", "A path of the artifact leaves its folder")
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while True:
            chunk = stream.read(CHUNK)
            if not chunk:
                break
            digest.update(chunk)
    if f"sha256:{digest.hexdigest()}" != file["digest"]:
        raise Refused("artifact_corrupt", f"The file {path} of the artifact was altered")
