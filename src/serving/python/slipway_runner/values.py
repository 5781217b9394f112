"""Between tensors and what models take and give: arrays of numpy where it is there, lists where it is not."""

import array
import itertools
import struct

from .frames import ELEMENT_BYTES, Tensor, element_count

try:
    import numpy
except ImportError:
    numpy = None

# Of numpy, and of the standard library's memoryview.
NUMPY_TYPES = {
    "BOOL": "?", "UINT8": "u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8",
    "INT8": "i1", "INT16": "<i2", "INT32": "<i4", "INT64": "<i8", "FP16": "<f2", "FP32": "<f4", "FP64": "<f8",
}  # fmt: skip
CODES = {
    "BOOL": "?", "UINT8": "B", "UINT16": "H", "UINT32": "I", "UINT64": "Q",
    "INT8": "b", "INT16": "h", "INT32": "i", "INT64": "q", "FP16": "e", "FP32": "f", "FP64": "d",
}  # fmt: skip


def to_flat(tensor):
    """The elements one after another, as a list."""
    if tensor.datatype == "BYTES":
        return list(tensor.data)
    if tensor.datatype == "FP16":
        return list(struct.unpack(f"<{len(tensor.data) // 2}e", tensor.data))
    return tensor.data.cast(CODES[tensor.datatype]).tolist() if len(tensor.data) > 0 else []


def to_array(tensor):
    """An array that the model may write into, or nested lists where numpy is not there."""
    if numpy is None:
        return _nest(to_flat(tensor), tensor.shape)
    if tensor.datatype == "BYTES":
        made = numpy.empty(len(tensor.data), dtype=object)
        made[:] = tensor.data
        return made.reshape(tensor.shape)
    return numpy.frombuffer(tensor.data, dtype=NUMPY_TYPES[tensor.datatype]).reshape(tensor.shape).copy()


def _nest(flat, shape):
    if len(shape) == 0:
        return flat[0]
    for size in reversed(shape[1:]):
        flat = [flat[at : at + size] for at in range(0, len(flat), size)] if size > 0 else []
    return flat


def to_tensor(value, spec):
    """What a model gave, as the signature promises it. Never rounds an integer, never cuts a text."""
    name, datatype = spec["name"], spec["datatype"]
    if numpy is not None:
        given = _as_array(value)
        shape, data = _shape_for(given.shape, spec), _numbers(given, name, datatype)
    else:
        flat, given_shape = _flatten(value)
        shape, data = _shape_for(given_shape, spec), _packed(flat, name, datatype)
    return Tensor(name, datatype, shape, data)


def _as_array(value):
    if hasattr(value, "to_numpy"):
        value = value.to_numpy()
    elif hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    elif hasattr(value, "toarray"):
        value = value.toarray()
    return numpy.asarray(value)


def _shape_for(shape, spec):
    wanted = spec["shape"]
    shape = tuple(shape)
    if shape == (0,) and wanted and wanted[0] == -1:
        return (0, *(max(size, 0) for size in wanted[1:]))  # an empty list does not say how wide it would be
    if not _fits(shape, wanted):
        # [rows] and [rows, 1] say the same.
        if len(shape) == len(wanted) + 1 and shape[-1] == 1 and _fits(shape[:-1], wanted):
            shape = shape[:-1]
        elif len(wanted) == len(shape) + 1 and wanted[-1] in (1, -1) and _fits((*shape, 1), wanted):
            shape = (*shape, 1)
        else:
            told = ", ".join(map(str, shape))
            raise ValueError(f"the output {spec['name']} has the shape [{told}], and the signature says {wanted}")
    return shape


def _fits(shape, wanted):
    return len(shape) == len(wanted) and all(size in (-1, given) for given, size in zip(shape, wanted))


def _numbers(given, name, datatype):
    kind = given.dtype.kind
    if datatype == "BYTES":
        flat = given.ravel().tolist()
        return [_text(one, name) for one in flat]
    if kind == "O":
        # Lists of Python's own numbers, or a column of pandas that holds them.
        given = numpy.array(given.tolist())
        kind = given.dtype.kind
    is_float = datatype.startswith("FP")
    allowed = "b" if datatype == "BOOL" else "iuf" if is_float else "iu"
    if kind not in allowed and given.size > 0:
        raise ValueError(f"the output {name} is {given.dtype}, and the signature says {datatype}")
    made = given.astype(NUMPY_TYPES[datatype], order="C")
    if not is_float and datatype != "BOOL" and given.size > 0 and not (made == given).all():
        raise ValueError(f"the output {name} has numbers that {datatype} does not hold")
    return memoryview(made.reshape(-1).view(numpy.uint8)) if made.size > 0 else memoryview(b"")


def _text(one, name):
    if isinstance(one, str):
        return one
    if isinstance(one, bytes):
        return one.decode("utf-8")
    raise ValueError(f"the output {name} has {type(one).__name__} among its texts")


def _flatten(value):
    shape = []
    level = [value]
    while level and isinstance(level[0], (list, tuple)):
        sizes = {len(one) if isinstance(one, (list, tuple)) else -1 for one in level}
        if len(sizes) != 1 or -1 in sizes:
            raise ValueError("a list has parts of different lengths")
        shape.append(len(level[0]))
        level = list(itertools.chain.from_iterable(level))
    return level, tuple(shape)


def _packed(flat, name, datatype):
    if datatype == "BYTES":
        return [_text(one, name) for one in flat]
    allowed = bool if datatype == "BOOL" else (int, float) if datatype.startswith("FP") else int
    for one in flat:
        if not isinstance(one, allowed) or (isinstance(one, bool) and datatype != "BOOL"):
            raise ValueError(f"the output {name} has {type(one).__name__}, and the signature says {datatype}")
    if datatype in ("FP16", "BOOL"):
        return memoryview(struct.pack(f"<{len(flat)}{CODES[datatype]}", *flat))
    try:
        return memoryview(array.array(CODES[datatype], flat).tobytes())
    except OverflowError:
        raise ValueError(f"the output {name} has numbers that {datatype} does not hold") from None


__all__ = ["ELEMENT_BYTES", "element_count", "numpy", "to_array", "to_flat", "to_tensor"]
