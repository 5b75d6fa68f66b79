"""Links between nodes: what carries what they say to each other."""
