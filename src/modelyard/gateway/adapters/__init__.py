"""One file per wire format, sans-IO: bytes in, native types out."""
