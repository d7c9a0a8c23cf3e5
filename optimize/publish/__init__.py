"""Runs as people are given them: reports, workbooks, maps; below `optimize.monthly`, above `optimize.studies`."""
