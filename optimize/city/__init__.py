"""One budget over all programmes: the joint optimum, and what separate silos cost."""
