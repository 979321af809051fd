"""Reading the weights of other implementations of VITS: one module a format, over `reference`."""
