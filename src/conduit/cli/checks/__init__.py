"""What `conduit doctor` looks at. Checks only read; what they have seen is judged without I/O."""
