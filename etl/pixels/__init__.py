"""From the bytes of a DICOM file to the right greys, and from a picture to PNG."""
