"""Reading the weights of other implementations of VALL-E: one module a format, over `checkpoint`."""
