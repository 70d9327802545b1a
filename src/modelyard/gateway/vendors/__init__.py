"""Calling vendors: with which key, signed how, tried how often."""
