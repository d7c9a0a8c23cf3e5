"""The product against other solvers: same instance, same threads, one run, each in its own process."""
