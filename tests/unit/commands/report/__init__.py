"""The report and the incident."""
