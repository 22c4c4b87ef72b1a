"""Published defences of codes: layers of the encoder, and terms of its loss."""
