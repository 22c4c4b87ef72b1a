"""The Python API behind `import arl_tf`: audits, learning, runs, data and registration."""
