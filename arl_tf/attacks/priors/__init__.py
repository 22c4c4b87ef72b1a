"""Attackers whose pictures come from a network: a generator of faces, an untrained network."""
