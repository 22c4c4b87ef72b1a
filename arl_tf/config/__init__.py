"""Settings, their checks, and conditions on figures."""
