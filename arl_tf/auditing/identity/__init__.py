"""Attacks on identity in an audit: embeddings predicted from codes, and what they find."""
