"""Where image bytes live: engines and registries."""
