"""Radiographs with known truth: a raw DICOM archive as a hospital would deliver it, drawn from a seed."""

from etl.phantom.writing import PhantomSummary, draw

__all__ = ["PhantomSummary", "draw"]
