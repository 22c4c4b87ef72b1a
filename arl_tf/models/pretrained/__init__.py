"""Frozen networks: readers of weight files, perceptual and identity networks."""
