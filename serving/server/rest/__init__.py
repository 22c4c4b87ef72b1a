"""TF Serving's REST API: bodies, tensors as JSON, paths, errors, and the time for a request."""
