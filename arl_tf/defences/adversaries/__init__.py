"""What stands for an adversary beside an encoder in training, and is solved or trained there."""
