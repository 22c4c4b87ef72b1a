"""Serving the exported models: server, clients, the device's side, load test."""
