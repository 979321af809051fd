"""Voices for others to play: ONNX files as Piper has them, and in two parts to be streamed."""
