"""What crosses the socket to the gateway: the frames of src/serving/runner/frames.ts, in Python. Standard library only."""

import json
import struct

HEADER = struct.Struct("<IBBHIId")
TENSOR = struct.Struct("<HBBI")
MAX_FRAME_BYTES = 256 * 1024 * 1024
MAX_RANK = 32

LOAD, INFER, CANCEL, STEP, READY, FAILED, RESULT, FAULT, SKIPPED = range(1, 10)

# By code: the place in DATATYPES of src/registry/signature.ts. Bytes of one element; 0 for texts.
DATATYPES = (
    "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "BF16", "FP32", "FP64", "BYTES",
)  # fmt: skip
ELEMENT_BYTES = {
    "BOOL": 1, "UINT8": 1, "UINT16": 2, "UINT32": 4, "UINT64": 8, "INT8": 1, "INT16": 2, "INT32": 4, "INT64": 8,
    "FP16": 2, "BF16": 2, "FP32": 4, "FP64": 8, "BYTES": 0,
}  # fmt: skip


class FrameError(Exception):
    """Bytes that are no frame, or a tensor that does not fit into one."""


class Tensor:
    """Row-major. `data` is a memoryview of the elements' bytes; of BYTES it is a list of texts."""

    __slots__ = ("data", "datatype", "name", "shape")

    def __init__(self, name, datatype, shape, data):
        self.name = name
        self.datatype = datatype
        self.shape = shape
        self.data = data

    def rows(self, start, stop):
        """Rows `start` up to `stop`; the memory is shared."""
        whole = self.shape[0]
        if start == 0 and stop == whole:
            return self
        width = len(self.data) // whole
        return Tensor(
            self.name, self.datatype, (stop - start, *self.shape[1:]), self.data[start * width : stop * width]
        )


def join_rows(tensors):
    """One tensor of the rows of several, which have the same type and the same sizes behind the first."""
    first = tensors[0]
    if len(tensors) == 1:
        return first
    shape = (sum(one.shape[0] for one in tensors), *first.shape[1:])
    if first.datatype == "BYTES":
        data = [text for one in tensors for text in one.data]
    else:
        data = memoryview(b"".join(one.data for one in tensors))
    return Tensor(first.name, first.datatype, shape, data)


def element_count(shape):
    count = 1
    for size in shape:
        count *= size
    return count


def align8(size):
    return (size + 7) & ~7


class FrameReader:
    """Cuts what comes into frames: (kind, id, rows, value, tensors, bytes behind the header)."""

    def __init__(self):
        self._held = bytearray()

    def push(self, chunk):
        held = self._held
        held += chunk
        start = 0
        frames = []
        while len(held) - start >= HEADER.size:
            size, kind, _, tensors, call, rows, value = HEADER.unpack_from(held, start)
            if size < HEADER.size or size > MAX_FRAME_BYTES or size & 7:
                raise FrameError(f"a frame has {size} bytes")
            if len(held) - start < size:
                break
            body = memoryview(bytes(held[start + HEADER.size : start + size]))
            frames.append((kind, call, rows, value, tensors, body))
            start += size
        if start > 0:
            del held[:start]
        return frames


def read_tensors(body, count, specs):
    tensors = []
    at = 0
    after = 0
    for _ in range(count):
        if len(body) - at < TENSOR.size:
            raise FrameError("a frame ends inside a tensor")
        place, code, rank, size = TENSOR.unpack_from(body, at)
        if place >= len(specs) or place < after or rank > MAX_RANK:
            raise FrameError("a tensor is not one of the signature")
        after = place + 1
        name, datatype = specs[place]["name"], specs[place]["datatype"]
        if code >= len(DATATYPES) or DATATYPES[code] != datatype:
            raise FrameError(f"{name} is not {datatype}")
        at += TENSOR.size
        if len(body) - at < align8(4 * rank) + size:
            raise FrameError("a tensor is larger than its frame")
        shape = struct.unpack_from(f"<{rank}I", body, at)
        at += align8(4 * rank)
        count_of = element_count(shape)
        if datatype == "BYTES":
            data = _read_texts(body[at : at + size], count_of)
        elif count_of * ELEMENT_BYTES[datatype] != size:
            raise FrameError(f"the data of {name} does not have the size of its shape")
        else:
            data = body[at : at + size]
        tensors.append(Tensor(name, datatype, shape, data))
        at += align8(size)
    return tensors


def _read_texts(data, count):
    if 4 * count > len(data):
        raise FrameError("texts are missing")
    lengths = struct.unpack_from(f"<{count}I", data, 0)
    texts = []
    at = 4 * count
    for length in lengths:
        if length > len(data) - at:
            raise FrameError("a text is larger than its tensor")
        texts.append(str(data[at : at + length], "utf-8"))
        at += length
    return texts


def read_json(body, size):
    return json.loads(bytes(body[:size]))


def bare_frame(kind, call):
    return HEADER.pack(HEADER.size, kind, 0, 0, call, 0, 0.0)


def json_frame(kind, call, value):
    text = json.dumps(value).encode()
    size = align8(len(text))
    return HEADER.pack(HEADER.size + size, kind, 0, 0, call, len(text), 0.0) + text.ljust(size, b"\0")


def result_frame(call, rows, run_ms, tensors):
    parts = [b""]
    size = HEADER.size
    for place, tensor in enumerate(tensors):
        data = _texts(tensor.data) if tensor.datatype == "BYTES" else tensor.data
        rank = len(tensor.shape)
        if rank > MAX_RANK:
            raise FrameError(f"{tensor.name} has more than {MAX_RANK} dimensions")
        head = TENSOR.pack(place, DATATYPES.index(tensor.datatype), rank, len(data))
        head += struct.pack(f"<{rank}I", *tensor.shape).ljust(align8(4 * rank), b"\0")
        parts += (head, data, b"\0" * (align8(len(data)) - len(data)))
        size += len(head) + align8(len(data))
        if size > MAX_FRAME_BYTES:
            raise FrameError(f"it has more than {MAX_FRAME_BYTES // 1024 // 1024} MiB")
    parts[0] = HEADER.pack(size, RESULT, 0, len(tensors), call, rows, run_ms)
    return b"".join(parts)


def _texts(texts):
    encoded = [text.encode("utf-8") for text in texts]
    return struct.pack(f"<{len(encoded)}I", *map(len, encoded)) + b"".join(encoded)
