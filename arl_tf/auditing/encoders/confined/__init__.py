"""SavedModels of strangers in a process of its own, with limits."""
