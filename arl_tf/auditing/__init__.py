"""The audit: fresh attackers against an encoder, measured on sealed images."""
