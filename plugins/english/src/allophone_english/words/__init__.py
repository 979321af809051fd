"""Tables of what is written and how it is said: the place for another unit, currency or abbreviation."""
