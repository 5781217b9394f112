"""Tensors as the table that a model of columns takes."""

from .values import numpy, to_array
from .words import Refused


def to_table(tensors, specs, how):
    """`matrix`: the one tensor. `frame`: a DataFrame of the signature's columns. `columns`: as `frame`, an array where pandas is not there."""
    if numpy is None:
        raise Refused("model_invalid", "The environment has no numpy, which this model needs")
    if how == "matrix":
        return to_array(tensors[0])
    pandas = _pandas()
    by_name = {one.name: one for one in tensors}
    if pandas is None and how == "frame":
        raise Refused("model_invalid", "The environment has no pandas, and the model takes a table with named columns")
    columns = {}
    for spec in specs:
        tensor = by_name.get(spec["name"])
        if tensor is None:
            continue  # optional, and not sent
        array = to_array(tensor)
        features = spec.get("features")
        if array.ndim == 1:
            columns[spec["name"]] = array
        elif array.ndim == 2 and features is not None:
            for place, feature in enumerate(features):
                columns[feature] = array[:, place]
        else:
            columns[spec["name"]] = list(array)
    if pandas is None:
        return numpy.column_stack(list(columns.values()))
    return pandas.DataFrame(columns)


def _pandas():
    try:
        import pandas
    except ImportError:
        return None
    return pandas
