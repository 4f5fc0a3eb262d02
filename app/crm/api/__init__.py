"""What the endpoints of all domains share: errors, pages, the root."""
