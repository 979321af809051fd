"""The data of an experiment, found in the manifest and the feature store: indexes, selection, batches."""
