"""KServe's own server with its first protocol, which is TensorFlow Serving's form, over the kit's model: the kit's app answers the Open Inference Protocol only."""
import logging
import os

import numpy as np
from common import MODEL, Runner
from kserve import Model, ModelServer


class Rows(Model):
    def __init__(self):
        super().__init__(MODEL)
        self.runner = Runner()
        self.ready = True

    async def predict(self, payload, headers=None, response_headers=None):
        rows = np.asarray(payload["instances"] if "instances" in payload else payload["inputs"], np.float32)
        columns = {name: values.tolist() for name, values in self.runner.run({"X": rows}).items()}
        return {"predictions": [dict(zip(columns, row)) for row in zip(*columns.values())]}


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    ModelServer(http_port=int(os.environ["PORT"]), grpc_port=int(os.environ["GPORT"]), workers=1, enable_latency_logging=False).start([Rows()])
