"""English text as it is read aloud, for Allophone: hooks in `hooks`, the rules in `normalizer`."""
