"""The stages of a run, its directory and its gate."""
