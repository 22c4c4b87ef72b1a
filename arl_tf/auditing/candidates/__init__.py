"""Is it this photo? Candidate photos compared with one code."""
