"""The drawn faces: an embedded data set that needs no photographs."""
