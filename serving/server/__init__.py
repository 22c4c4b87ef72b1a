"""The development server: both of TF Serving's protocols over one store of models."""
