"""The encoders that can be audited: a run's, SavedModels, .tflite files, recorded codes."""
