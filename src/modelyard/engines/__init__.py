"""What computes inside a worker. Heavy imports happen in ``load`` alone."""
