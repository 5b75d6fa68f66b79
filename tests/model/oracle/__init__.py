"""What must be true: pure, told of everything that happens, and it raises Violation."""
