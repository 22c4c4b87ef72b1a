"""Whether this machine, its packages and the data are fit for a run, and what to do if not."""
