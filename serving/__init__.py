"""Serving what arl_tf exported: a development server, configs for TF Serving, clients."""
