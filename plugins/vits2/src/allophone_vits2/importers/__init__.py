"""Reading the weights of other implementations of VITS2."""
