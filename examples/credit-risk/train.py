"""Trains the credit-risk model and writes all that is deployed with it.

    python3 -m venv .venv && .venv/bin/pip install -r requirements.txt
    .venv/bin/python train.py                                              # model.onnx and what belongs to it, in this folder
    .venv/bin/python train.py --variant challenger --out challenger        # a second version: same inputs and outputs, another model
    .venv/bin/python train.py --variant breaking --out /tmp/breaking       # takes `age_group` instead of `age`: refused as version 3

The same versions of the libraries give the same files. Every column of the data is an ONNX input of its own, so that callers send
records by name: {"age": 41, "purpose": "radio/tv", ...}. A value of a text column that was not seen in training counts as none of the known ones.
"""

import argparse
import json
import pathlib

import numpy as np
import onnxruntime
import pandas as pd
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

HERE = pathlib.Path(__file__).resolve().parent
TARGET, BAD = "risk", "bad"
# Sex, marital status and origin are not asked for: the model must not use them, and the card reports how it treats these groups.
LEFT_OUT = ["personal_status", "foreign_worker"]
SEED = 7


def read():
    data = pd.read_csv(HERE / "data/german-credit.csv", keep_default_na=False)
    train, test = train_test_split(data, test_size=200, stratify=data[TARGET], random_state=SEED)
    return train, test


def features_of(data, variant):
    x = data.drop(columns=[TARGET, *LEFT_OUT])
    numeric = [c for c in x.columns if pd.api.types.is_numeric_dtype(x[c])]
    x[numeric] = x[numeric].astype(np.float32)
    if variant == "breaking":
        groups = pd.cut(x["age"], [0, 25, 35, 50, 200], labels=["up to 25", "26 to 35", "36 to 50", "above 50"])
        x = x.drop(columns="age").assign(age_group=groups.astype(str))
        numeric.remove("age")
    return x, numeric


def pipeline(x, numeric, variant):
    words = [c for c in x.columns if c not in numeric]
    trees = variant != "challenger"
    encoder = ColumnTransformer([("numbers", "passthrough" if trees else StandardScaler(), numeric),
                                 ("words", OneHotEncoder(handle_unknown="ignore", sparse_output=False), words)])
    if trees:
        model = GradientBoostingClassifier(n_estimators=150, learning_rate=0.05, max_depth=3, subsample=0.7, max_features=0.3,
                                           min_samples_leaf=10, random_state=SEED)
    else:
        model = LogisticRegression(C=0.3, max_iter=2000)
    return make_pipeline(encoder, model)


def export(trained, x, numeric, path):
    inputs = [(c, FloatTensorType([None, 1]) if c in numeric else StringTensorType([None, 1])) for c in x.columns]
    model = trained.steps[-1][1]
    made = to_onnx(trained, initial_types=inputs, name="credit-risk", target_opset={"": 17, "ai.onnx.ml": 3},
                   options={id(model): {"zipmap": False}},
                   final_types=[("label", StringTensorType([None])), ("probabilities", FloatTensorType([None, 2]))])
    made.ir_version = 8
    made.opset_import.sort(key=lambda o: o.domain)  # the exporter writes them in the order of a set
    path.write_bytes(made.SerializeToString(deterministic=True))
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def run(session, x):
    feeds = {i.name: x[i.name].to_numpy(np.float32 if "float" in i.type else object).reshape(-1, 1) for i in session.get_inputs()}
    label, probabilities = session.run(["label", "probabilities"], feeds)
    return label.ravel(), probabilities


def records(x):
    """Rows as callers write them: whole numbers without a fraction."""
    return [{k: int(v) if isinstance(v, float) and v == int(v) else v for k, v in row.items()} for row in x.astype(object).to_dict("records")]


def golden(session, x):
    """22 single rows over the whole range of probabilities, one row with values never seen, one request of eight rows."""
    bad = run(session, x)[1][:, 0]
    spread = x.iloc[np.argsort(bad, kind="stable")[np.linspace(0, len(x) - 1, 22).astype(int)]]
    odd = x.iloc[[0]].assign(purpose="a sailing boat", job="astronaut", credit_amount=np.float32(20_000))
    cases = [(f"held-out row {i}", spread.iloc[[k]]) for k, i in enumerate(spread.index)]
    cases += [("values never seen in training", odd), ("eight rows in one request", x.iloc[:8])]
    written = []
    for name, rows in cases:
        label, probabilities = run(session, rows)
        written.append({"name": name, "inputs": {"records": records(rows)}, "tolerance": {"absolute": 1e-5},
                        "outputs": {"label": label.tolist(), "probabilities": [[round(float(p), 7) for p in row] for row in probabilities]}})
    return written


def assess(session, x, data):
    """How the exported model (not the one in memory) does on rows it never saw, and by group."""
    label, probabilities = run(session, x)
    bad, truth = probabilities[:, 0], (data[TARGET] == BAD).to_numpy()
    sex = np.where(data["personal_status"].str.startswith("female"), "women", "men")
    age = np.where(data["age"] <= 25, "25 or younger", "older than 25")
    groups = {}
    for by in (sex, age):
        for name in sorted(set(by)):
            m = by == name
            groups[name] = {"rows": int(m.sum()), "auc": round(roc_auc_score(truth[m], bad[m]), 3),
                            "called good": round(float((label[m] == "good").mean()), 3),
                            "good loans called bad": round(float((label[m & ~truth] == BAD).mean()), 3)}
    rng = np.random.default_rng(SEED)
    draws = [rng.integers(0, len(truth), len(truth)) for _ in range(2000)]
    low, high = np.percentile([roc_auc_score(truth[d], bad[d]) for d in draws], [2.5, 97.5])
    return {"auc": round(roc_auc_score(truth, bad), 3), "auc 95 % interval": [round(float(low), 3), round(float(high), 3)],
            "accuracy": round(float(((label == BAD) == truth).mean()), 3), "brier": round(brier_score_loss(truth, bad), 3),
            "bad loans found": round(float((label[truth] == BAD).mean()), 3), "groups": groups}


def fill_card(path, metrics):
    """Writes the numbers between the card's markers, so that they are always those of the model beside it."""
    head, rest = path.read_text().split("<!-- metrics -->\n")
    tail = rest.split("<!-- end of metrics -->")[1]
    rows = [f"| area under the ROC curve | {metrics['auc']} (95 % interval {metrics['auc 95 % interval'][0]} to {metrics['auc 95 % interval'][1]}, bootstrap) |",
            f"| the same in 5-fold cross-validation of the training rows | {metrics['cv auc']} |", f"| accuracy at probability 0.5 | {metrics['accuracy']} |",
            f"| bad loans found at probability 0.5 | {metrics['bad loans found']} |", f"| Brier score | {metrics['brier']} |"]
    groups = [f"| {name} | {g['rows']} | {g['auc']} | {g['called good']} | {g['good loans called bad']} |" for name, g in metrics["groups"].items()]
    table = "\n".join(["| on 200 held-out rows | |", "|---|---|", *rows, "", "| group | rows | AUC | called good | good loans called bad |", "|---|---|---|---|---|", *groups])
    path.write_text(f"{head}<!-- metrics -->\n\n{table}\n\n<!-- end of metrics -->{tail}")


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--variant", choices=["champion", "challenger", "breaking"], default="champion")
    options.add_argument("--out", type=pathlib.Path, default=None, help="folder to write to; needed for every variant but the champion")
    chosen = options.parse_args()
    if chosen.variant != "champion" and chosen.out is None:
        options.error(f"--out is needed with --variant {chosen.variant}")
    out = chosen.out or HERE
    out.mkdir(parents=True, exist_ok=True)

    train, test = read()
    (x, numeric), (x_test, _) = features_of(train, chosen.variant), features_of(test, chosen.variant)
    model = pipeline(x, numeric, chosen.variant)
    folds = StratifiedKFold(5, shuffle=True, random_state=SEED)
    cv = cross_val_score(model, x, train[TARGET] == BAD, scoring="roc_auc", cv=folds).mean()
    model.fit(x, train[TARGET])
    session = export(model, x, numeric, out / "model.onnx")
    gap = float(np.abs(model.predict_proba(x_test) - run(session, x_test)[1]).max())
    metrics = {**assess(session, x_test, test), "cv auc": round(float(cv), 3)}
    print(json.dumps(metrics, indent=1))
    print(f"model.onnx {(out / 'model.onnx').stat().st_size} bytes; its probabilities differ from scikit-learn's by at most {gap:.1e}")
    assert gap < 1e-4, "the exported model does not answer like the trained one"

    cases = [json.dumps(case, ensure_ascii=False) for case in golden(session, x_test)]
    (out / "golden.json").write_text("[\n" + ",\n".join(cases) + "\n]\n")
    if chosen.variant == "champion":
        scored = x_test.assign(risk=test[TARGET], probability_bad=run(session, x_test)[1][:, 0].round(6))
        scored.to_csv(out / "reference.csv", index=False, lineterminator="\n", float_format="%g")
        x_test.iloc[:12].to_csv(out / "rows.csv", index=False, lineterminator="\n", float_format="%g")
        fill_card(out / "model-card.md", metrics)


if __name__ == "__main__":
    main()
