"""Two versions before the same users: who gets which, what they do with it, and what that shows."""
