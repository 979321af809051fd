"""The weights of modules: their files, loading them, and weight norm."""
