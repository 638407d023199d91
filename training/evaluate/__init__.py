"""From predictions to numbers, intervals, curves and a report. NumPy, SciPy and scikit-learn; never torch."""
