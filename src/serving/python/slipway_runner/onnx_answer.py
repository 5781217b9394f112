"""What a tool of this program gives: the bytes of an ONNX file, asked for in pieces, because a frame has a bounded size."""

from .values import numpy, to_flat, to_tensor
from .words import Refused

PIECE_BYTES = 64 * 1024 * 1024
# protobuf cannot hold more in one message.
MAX_BYTES = 2**31 - 1


class OnnxAnswer:
    """Loaded in the place of a model. Takes `from`, the first byte wanted; gives `bytes`, none of them behind the end."""

    def __init__(self, content, about, signature):
        if len(content) > MAX_BYTES:
            raise Refused("model_unsupported", "The ONNX file would have 2 GiB or more")
        self._content = content
        self._spec = signature["outputs"][0]
        self.about = about

    def run(self, tensors):
        start = int(to_flat(tensors[0])[0])
        piece = self._content[start : start + PIECE_BYTES]
        return [to_tensor(numpy.frombuffer(piece, dtype="u1"), self._spec)]
