"""Where releases run: one folder for each kind of target."""
