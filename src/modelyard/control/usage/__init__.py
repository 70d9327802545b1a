"""What calls used and cost: counted beside their path, reported afterwards."""
