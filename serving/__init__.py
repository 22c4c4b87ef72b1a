"""What runs beside an exported encoder: checks, clients and servers. Nothing here needs arl_tf."""
