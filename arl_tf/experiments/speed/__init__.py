"""What work costs on this machine, and how it grows: for `python -m arl_tf.bench`."""
