"""Several shots of a photo that differ a little: what their codes tell together."""
