"""Models of reserve demand, money markets and yields: one model family a file."""
