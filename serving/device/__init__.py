"""The device's side: photos to codes with TFLite, their noise and their packing."""
