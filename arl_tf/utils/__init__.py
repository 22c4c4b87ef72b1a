"""Writing and publishing files."""
