"""Picture files: which are read, and how, in TensorFlow operations."""
