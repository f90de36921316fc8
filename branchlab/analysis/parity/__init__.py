"""Two recordings of a training side by side: do they agree to the bit, and if not, what differs first and why."""
