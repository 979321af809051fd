"""Reading the weights of other implementations of HiFi-GAN: one module a format, over `checkpoint`."""
