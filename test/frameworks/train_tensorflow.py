"""SavedModel, Keras and TensorFlow Lite. usage: train_tensorflow.py <folder>"""

import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from cases import Cases, pinned, signature  # noqa: E402

cases = Cases(sys.argv[1])
tf.keras.utils.set_random_seed(0)
draw = np.random.default_rng(0)
x = draw.normal(size=(400, 4)).astype(np.float32)
y = (x.sum(1) > 0).astype(np.float32)
model = tf.keras.Sequential([tf.keras.Input((4,), name="x"), tf.keras.layers.Dense(8, "relu"), tf.keras.layers.Dense(1, "sigmoid")])
model.compile("adam", "binary_crossentropy")
model.fit(x, y, epochs=5, verbose=0)
asked = x[:9]
given = model.predict(asked, verbose=0)
requirements = pinned("tensorflow-cpu", "numpy")

at = cases.folder / "saved-model"
model.export(at, verbose=False)
(at / "requirements.txt").write_text("\n".join(requirements))
served = tf.saved_model.load(str(at)).signatures["serving_default"]
inputs, outputs = served.structured_input_signature[1], served.structured_outputs
cases.add("saved-model", at, {next(iter(inputs)): asked}, {next(iter(outputs)): given}, own="tensorflow")

about = signature({"x": {"datatype": "FP32", "shape": [-1, 4]}}, {"score": {"datatype": "FP32", "shape": [-1, 1]}}, requirements)
at = cases.place("keras")
model.save(at / "model.keras")
(at / "slipway.yaml").write_text(about)
cases.add("keras", at, {"x": asked}, {"score": given}, own="tensorflow")

at = cases.place("tflite")
(at / "model.tflite").write_bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())
(at / "slipway.yaml").write_text(about)
cases.add("tflite", at, {"x": asked}, {"score": given})
cases.write()
