"""Programs that this library runs, their output and environment, and signals."""
