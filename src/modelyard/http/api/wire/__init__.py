"""What travels: pydantic models, one file for each noun. Of the domain they know the enumerations only."""
