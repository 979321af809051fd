"""An inference engine for exported voices based on onnxruntime, and the ONNX export."""

import os

# onnxruntime reads this when it is imported. Since 1.32 it stores usage events in the user's cache and sends them
# to its vendor by default; set the variable to 0 to allow this.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
