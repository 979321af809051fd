"""Speaking with exported voices through onnxruntime, and what writes them."""

import os

# onnxruntime reads this when it is imported. Since 1.32 it would keep a database of events in the user's cache
# and report them to its maker; who wants that sets the variable to 0.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
