"""Adversarial representation learning: face codes that keep the task and resist inversion."""
