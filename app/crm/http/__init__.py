"""What happens to every request and answer, whatever it asks for."""
