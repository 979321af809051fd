"""Times of phones for Allophone: hooks in `hooks`, configuration in `config`, what reads label files in `label_files`."""
