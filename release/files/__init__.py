"""Files of one user or one clone, and files of limited size."""
