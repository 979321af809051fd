"""What importers have in common: reading other projects' files and folders, and giving each tensor its place."""
