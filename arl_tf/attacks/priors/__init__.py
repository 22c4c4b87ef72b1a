"""Attackers whose pictures come from a network: a generator, a diffusion model, or untrained."""
