"""What the API does to templates, models, deployments, accounts and keys, and the loop that makes it so."""
