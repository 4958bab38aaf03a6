"""What things cost: `nox -s bench`. Measured, not asserted, so that no test fails because a machine is slow.

The room is below `tests` for it stands on what the tests stand on (real repositories, sample records) and is
held to the same types and style. Pytest collects nothing here: no module is called `test_*`.
"""
