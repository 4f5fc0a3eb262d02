"""What the tests stand on: real servers, started for them."""
