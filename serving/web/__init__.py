"""The demo page: its files and its part of the server."""
