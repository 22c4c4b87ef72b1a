"""What server, clients and device share."""
