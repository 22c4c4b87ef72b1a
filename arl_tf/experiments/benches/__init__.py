"""The bench: defences compared by one protocol."""
