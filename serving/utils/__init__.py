"""What the commands share: paths, flag files, help, signals; kept apart from arl_tf."""
