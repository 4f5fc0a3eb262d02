"""What contacts, companies and deals have in common: a team that sees them and an owner who may change them."""
