"""An environment: its configuration, its ledger entries, and its current state."""
