"""What a plan's pipes do under pressure: the network as EPANET sees it, what it breaks, how it is repaired."""
