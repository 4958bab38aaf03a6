"""Gates that a check passed: a release of the same tree on another machine uses their signed result."""
