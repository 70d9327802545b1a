"""Between what travels and what the domain knows: pure functions, one file for each noun."""
