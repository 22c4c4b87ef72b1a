"""Regressions from codes to anything, in closed form: linear maps, kernels, completed codes."""
