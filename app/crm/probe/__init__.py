"""A request that says whether users would be answered, asked where users are too few to tell (docs/decisions/0022)."""
