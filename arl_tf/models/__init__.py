"""Encoders, task heads, decoders, code layers, losses."""
