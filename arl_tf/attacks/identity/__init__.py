"""Attacks on identity: from codes to embeddings of an attacker's own identity networks."""
