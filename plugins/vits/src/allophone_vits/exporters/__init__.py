"""Export to ONNX: one file compatible with Piper, or three parts for streaming."""
