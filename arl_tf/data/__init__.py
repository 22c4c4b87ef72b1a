"""Images, splits, public data, training batches."""
