"""Sweeps and studies: many trials from one shared encoder."""
