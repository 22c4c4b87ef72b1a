"""Clients of served encoders and task heads, REST and gRPC, and load that they make."""
