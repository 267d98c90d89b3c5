"""What two regions on one machine are made of, one part a file."""
