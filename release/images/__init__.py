"""Places of images: engines and registries."""
