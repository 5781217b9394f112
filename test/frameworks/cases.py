"""Writes what is to be deployed, and what its library answers, for frameworks.test.ts."""

import json
import pathlib

import numpy as np


class Cases:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._cases = []

    def place(self, name):
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def add(self, name, path, inputs, outputs, *, command="deploy", code=True, own=None, tolerance=1e-6, endpoint=None):
        """`inputs` and `outputs` are arrays by name, a row of each for every row. `own`: the protocol of its own system."""
        plain = lambda values: {key: np.asarray(value).tolist() for key, value in values.items()}  # noqa: E731
        types = {key: np.asarray(value).dtype.str for key, value in inputs.items()}
        self._cases.append(
            {
                "name": name,
                "path": str(path),
                "command": command,
                "allowCode": code,
                "endpoint": endpoint or name,
                "inputs": plain(inputs),
                "types": types,
                "outputs": plain(outputs),
                "own": own,
                "tolerance": tolerance,
            }
        )

    def write(self):
        (self.folder / "cases.json").write_text(json.dumps(self._cases))


def signature(inputs, outputs, requirements=None, **more):
    """slipway.yaml; JSON is YAML."""
    about = {"signature": {"inputs": inputs, "outputs": outputs}, **more}
    if requirements:
        about["python"] = {"requirements": requirements}
    return json.dumps(about, indent=1)


def pinned(*names):
    from importlib import metadata

    return [f"{name}=={metadata.version(name)}" for name in names]
