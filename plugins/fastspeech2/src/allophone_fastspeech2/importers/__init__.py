"""Reading voices of other implementations of FastSpeech 2: one module a project, over `reference`."""
