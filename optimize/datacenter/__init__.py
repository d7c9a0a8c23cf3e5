"""Data centres: which retrofit package in which year, or close and move the load to a host."""
