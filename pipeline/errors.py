class Refuses(Exception):
    """A gate lets the commit not pass; the message is one sentence that says what to change."""
