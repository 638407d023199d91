"""`make thesis`: the thesis' story on drawn films, arm by arm, and docs/results.md made of nothing but the runs."""
