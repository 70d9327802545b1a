"""What makes deployments as they should be: observe, plan, act; and how many workers there should be."""
