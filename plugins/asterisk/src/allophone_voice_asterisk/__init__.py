"""The voice `asterisk`: the speaker of Asterisk's prompts, learned from 21 minutes of her recordings."""
