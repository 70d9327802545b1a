"""Where workers run. One file per launcher; `base` holds the seam."""
