"""Deploying, promoting and rolling back: each is one validated commit on the `environments` branch."""
