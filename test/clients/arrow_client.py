"""Data frames as pandas and polars write them, sent as Arrow streams and CSV; prints one JSON line a check. See arrow-client.test.ts."""

import io
import json
import sys
import urllib.request

import pandas as pd
import polars as pl
import pyarrow as pa

ARROW = "application/vnd.apache.arrow.stream"


def say(check, saw):
    print(json.dumps({"check": check, "saw": saw}), flush=True)


def ask(model, body, content_type, accept="application/json"):
    headers = {"Content-Type": content_type, "Accept": accept}
    request = urllib.request.Request(f"http://{sys.argv[1]}/endpoints/{model}/predict", data=body, headers=headers)
    with urllib.request.urlopen(request) as answer:
        return answer.read()


def stream(table):
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as out:
        out.write_table(table)
    return sink.getvalue().to_pybytes()


frame = pd.DataFrame({"plan": ["pro", "basic", "team"], "age": [41, 2, 7]})

say("pandas", json.loads(ask("mixed", stream(pa.Table.from_pandas(frame, preserve_index=False)), ARROW))["predictions"])
category = frame.assign(plan=frame["plan"].astype("category"))
answer = pa.ipc.open_stream(ask("mixed", stream(pa.Table.from_pandas(category, preserve_index=False)), ARROW, ARROW)).read_all()
answer.validate(full=True)
say("pandas category", {"columns": answer.column_names, "score": answer["score"].to_pylist(), "frame": answer.to_pandas()["score"].tolist()})

sink = io.BytesIO()
pl.from_pandas(frame).write_ipc_stream(sink)
say("polars", pl.read_ipc_stream(io.BytesIO(ask("mixed", sink.getvalue(), ARROW, ARROW)))["score"].to_list())

table = pd.read_csv(io.BytesIO(ask("mixed", frame.to_csv(index=False).encode(), "text/csv", "text/csv")))
say("csv", {"columns": list(table.columns), "score": table["score"].tolist()})
