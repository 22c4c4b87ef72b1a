"""Picture files without TensorFlow: which are read, how large they are, how they stand."""
