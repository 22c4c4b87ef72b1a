"""SavedModels, TFLite files, manifest and warm-up requests."""
