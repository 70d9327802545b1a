"""What tests of modelyard, and of templates written for it, can use."""
