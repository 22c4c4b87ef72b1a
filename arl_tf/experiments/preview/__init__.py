"""What a command would do, told before it does it."""
