"""Reading, validating, writing instances, and the store of runs."""
