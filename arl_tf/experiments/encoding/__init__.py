"""Many photos into codes: sources, shards, and the engines that work through them."""
