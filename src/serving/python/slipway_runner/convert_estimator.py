"""Estimators of scikit-learn, XGBoost, LightGBM and CatBoost to ONNX, by skl2onnx, onnxmltools and CatBoost itself."""

import json

from .estimator_model import READERS
from .onnx_faces import ML_OPSET, OPSET, Feed, Pick, with_face
from .onnx_trees import with_double_trees, with_single_trees
from .words import Refused

TARGETS = {"": OPSET, "ai.onnx.ml": ML_OPSET}


def convert(options, signature, entry, floats):
    model, methods = _loaded(options, signature)
    kind = type(model).__module__.split(".")[0]
    specs = signature["inputs"]
    if kind == "catboost":
        inner, name = _catboost(model), "features"
        feeds = [_table(name, specs)]
        picks = [_classified(method, "label", "probabilities") if hasattr(model, "classes_") and len(model.classes_) else Pick("predictions") for method in methods]
    elif type(model).__name__ == "Booster":
        inner, picks = _booster(model, kind, len(specs) == 1 and specs[0])
        feeds = [_table("X", specs)]
    else:
        by_column = _takes_columns(model) and options.get("inputs") != "matrix"
        feeds = [feed for spec in specs for feed in _columns(spec)] if by_column else [_table("X", specs)]
        inner, picks = _estimator(model, feeds, specs, methods, floats)
    if floats == "FP64":
        # Trees compare as those of their library do, whatever the converter wrote.
        thresholds = _double_thresholds(model)
        inner = with_single_trees(inner) if thresholds is None else with_double_trees(inner, thresholds)
    return with_face(inner, signature, feeds, picks)


def _loaded(options, signature):
    if "reader" in options:
        model = READERS[options["reader"]](options["file"], options)
        model = getattr(model, "booster", model) if type(model).__name__ == "_Booster" else model
        methods = [one["method"] for one in options["outputs"]] if "outputs" in options else ["predict"] * len(signature["outputs"])
        return model, methods
    import mlflow.pyfunc

    whole = mlflow.pyfunc.load_model(options["folder"])
    raw = whole.get_raw_model()
    if type(raw).__module__.split(".")[0] not in ("sklearn", "xgboost", "lightgbm", "catboost", "imblearn"):
        raise Refused("model_unsupported", f"There is no converter here for the {type(raw).__module__}.{type(raw).__qualname__} in this MLflow model")
    return raw, ["predict"] * len(signature["outputs"])


def _table(name, specs):
    """All inputs as the columns of one."""
    if any(spec["datatype"] == "BYTES" for spec in specs):
        raise Refused("model_unsupported", "It takes texts, and says no columns by which they could be converted")
    return Feed(name, [(spec["name"], None) for spec in specs])


def _columns(spec):
    """One input for each column that the model would see in its DataFrame."""
    if "features" in spec and len(spec["shape"]) == 2:
        return [Feed(feature, [(spec["name"], place)]) for place, feature in enumerate(spec["features"])]
    return [Feed(spec["name"], [(spec["name"], None)])]


def _takes_columns(model):
    """Whether its first step picks columns by name."""
    while hasattr(model, "steps") and len(model.steps) > 0:
        model = model.steps[0][1]
    if hasattr(model, "best_estimator_"):
        return _takes_columns(model.best_estimator_)
    return hasattr(model, "transformers_")


def _estimator(model, feeds, specs, methods, floats):
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import BooleanTensorType, DoubleTensorType, FloatTensorType, Int64TensorType, StringTensorType
    from sklearn.base import is_classifier, is_regressor

    _know_boosters()
    _take_numpy_integers()
    number = FloatTensorType if floats == "FP32" else DoubleTensorType
    by_name = {spec["name"]: spec for spec in specs}

    def type_of(feed):
        width = sum(1 if column is not None or len(by_name[name]["shape"]) == 1 else by_name[name]["shape"][1] for name, column in feed.parts)
        datatype = by_name[feed.parts[0][0]]["datatype"]
        if len(feeds) == 1 or datatype.startswith("FP"):
            return number([None, width])
        if datatype == "BYTES":
            return StringTensorType([None, width])
        return (BooleanTensorType if datatype == "BOOL" else Int64TensorType)([None, width])

    options = {}
    if is_classifier(model):
        options["zipmap"] = False
        if "decision_function" in methods:
            if "predict_proba" in methods:
                raise Refused("model_unsupported", "One graph gives decision_function or predict_proba, and this version gives both")
            options["raw_scores"] = True
    inner = convert_sklearn(
        model,
        initial_types=[(feed.name, type_of(feed)) for feed in feeds],
        target_opset=TARGETS,
        options=options or None,
    )
    names = [one.name for one in inner.graph.output]
    if is_regressor(model) or len(names) == 1:
        return inner, [Pick(names[0]) for _ in methods]
    return inner, [_classified(method, *names[:2]) for method in methods]


def _classified(method, label, scores):
    if method == "predict":
        return Pick(label)
    if method in ("predict_proba", "decision_function", "transform", "score_samples"):
        return Pick(scores)
    raise Refused("model_unsupported", f"The converted graph has no counterpart of {method}()")


def _know_boosters():
    """Tells skl2onnx of the estimators of other libraries, those that are there."""
    from skl2onnx import update_registered_converter
    from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes, calculate_linear_regressor_output_shapes

    choices = {"nocl": [True, False], "zipmap": [True, False, "columns"], "raw_scores": [True, False]}
    try:
        import xgboost
    except ImportError:
        pass
    else:
        from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost

        for one in (xgboost.XGBClassifier, xgboost.XGBRFClassifier):
            update_registered_converter(one, f"XGBoost{one.__name__}", calculate_linear_classifier_output_shapes, convert_xgboost, options=choices)
        for one in (xgboost.XGBRegressor, xgboost.XGBRFRegressor):
            update_registered_converter(one, f"XGBoost{one.__name__}", calculate_linear_regressor_output_shapes, convert_xgboost)
    try:
        import lightgbm
    except ImportError:
        pass
    else:
        from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm

        update_registered_converter(
            lightgbm.LGBMClassifier, "LightGbmLGBMClassifier", calculate_linear_classifier_output_shapes, convert_lightgbm, options=choices
        )
        update_registered_converter(
            lightgbm.LGBMRegressor, "LightGbmLGBMRegressor", calculate_linear_regressor_output_shapes, convert_lightgbm, options={"split": None}
        )


def _take_numpy_integers():
    """skl2onnx hands numpy's integers and booleans on as attributes of nodes, which onnx does not take."""
    from skl2onnx.common import _container

    make_node = getattr(_container, "make_node", None)
    if make_node is None or make_node.__module__ == __name__:
        return

    def plain(value):
        if isinstance(value, (list, tuple)):
            return [plain(one) for one in value]
        if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
            value = value.item()
        return int(value) if isinstance(value, bool) else value

    def make_plain_node(op, inputs, outputs, name=None, **attributes):
        return make_node(op, inputs, outputs, name=name, **{key: plain(value) for key, value in attributes.items()})

    _container.make_node = make_plain_node


def _booster(model, kind, spec):
    """A booster as the library itself saves it; the version's one output is what its `predict` gives."""
    import onnxmltools
    from onnxmltools.convert.common.data_types import FloatTensorType

    if spec is False or len(spec["shape"]) != 2:
        raise Refused("model_unsupported", "A booster is converted where it takes one table")
    # Its converters take no other; thresholds in double come afterwards.
    types = [("X", FloatTensorType([None, spec["shape"][1]]))]
    # They write no newer one.
    target = min(OPSET, 15)
    if kind == "xgboost":
        model.feature_names = None  # its converter takes no other names than those it makes
        objective = json.loads(model.save_config())["learner"]["objective"]["name"]
        inner = onnxmltools.convert_xgboost(model, initial_types=types, target_opset=target)
    else:
        objective = str(model.dump_model().get("objective", "")).split(" ")[0]
        inner = onnxmltools.convert_lightgbm(model, initial_types=types, zipmap=False, target_opset=target)
    names = [one.name for one in inner.graph.output]
    if objective in ("binary:logistic", "binary"):
        return inner, [Pick(names[1], column=1)]
    if objective in ("multi:softprob", "multiclass", "multiclassova"):
        return inner, [Pick(names[1])]
    return inner, [Pick(names[0])]


def _double_thresholds(model):
    """By feature, of the estimator that answers last, where it compares in double; else None."""
    while hasattr(model, "steps") and len(model.steps) > 0:
        model = model.steps[-1][1]
    thresholds = {}
    if type(model).__name__.startswith("HistGradientBoosting"):
        for tree in (one for stage in model._predictors for one in stage):
            inner = tree.nodes[tree.nodes["is_leaf"] == 0]
            for feature, value in zip(inner["feature_idx"], inner["num_threshold"]):
                thresholds.setdefault(int(feature), []).append(float(value))
        return thresholds
    booster = getattr(model, "booster_", model)
    if not type(booster).__module__.startswith("lightgbm"):
        return None
    waiting = [tree["tree_structure"] for tree in booster.dump_model()["tree_info"]]
    while waiting:
        node = waiting.pop()
        if "split_feature" in node:
            if node["decision_type"] == "<=":
                thresholds.setdefault(node["split_feature"], []).append(node["threshold"])
            waiting += [node["left_child"], node["right_child"]]
    return thresholds


def _catboost(model):
    """CatBoost writes ONNX itself. Its scores come as a list of maps: the map is taken away."""
    import onnx

    model.save_model("converted.catboost.onnx", format="onnx")
    made = onnx.load("converted.catboost.onnx")
    for node in [one for one in made.graph.node if one.op_type == "ZipMap"]:
        width = max(len(one.ints) or len(one.strings) for one in node.attribute)
        at = [one.name for one in made.graph.output].index(node.output[0])
        made.graph.output[at].CopyFrom(
            onnx.helper.make_tensor_value_info(node.input[0], onnx.TensorProto.FLOAT, ["rows", width])
        )
        made.graph.node.remove(node)
        for other in made.graph.node:
            for place, name in enumerate(other.output):
                if name == node.input[0]:
                    other.output[place] = node.output[0]
        made.graph.output[at].name = node.output[0]
    return made
