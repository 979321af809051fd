"""The voice `joe-fast`: `joe` with a decoder that was distilled from it."""
