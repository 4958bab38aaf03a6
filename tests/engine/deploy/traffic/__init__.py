"""Start-first behind real proxies, under load and in trouble."""
