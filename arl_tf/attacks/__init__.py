"""What attackers are given, every attacker, and their registry."""
