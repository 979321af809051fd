"""Files and folders on disk: written atomically, locked, read although they may be damaged; errors of the system in words."""
