"""Speaking with exported voices through onnxruntime, and what writes them."""
