"""Looking at collections that exist: what is in them, and which model made their vectors."""
