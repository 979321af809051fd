"""Neural codecs: waveforms to discrete codes and back."""
