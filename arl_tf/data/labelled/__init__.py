"""Users' own images: class folders, a folder with a table, and arrays in a file."""
