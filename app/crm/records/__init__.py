"""What contacts, companies and deals share: a team that sees them, an owner who may change them."""
