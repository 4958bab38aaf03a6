"""Long runs: `nox -s soak`. Its modules are called `soak_*`, so that ordinary runs do not collect them."""
