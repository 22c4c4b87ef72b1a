"""Measures of utility and privacy, with intervals."""
