"""What importers have in common: reading other projects' files, and giving each tensor its place."""
