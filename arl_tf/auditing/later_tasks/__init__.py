"""Tasks that are learned later, from labelled codes, and from the task output instead."""
