"""Find every file of a raw archive and read its header, once."""
