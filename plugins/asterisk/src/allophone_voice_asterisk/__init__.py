"""The voice `asterisk`: the speaker of Asterisk's prompts, learned from 23 minutes of her recordings."""
