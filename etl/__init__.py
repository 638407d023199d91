"""How a raw DICOM archive becomes an immutable, de-identified dataset version."""
