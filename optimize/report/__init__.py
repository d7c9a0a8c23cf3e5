"""What a person or a program is told about a run."""
