"""The measuring stick for the steps: films with a known change, and what the steps make of them (`make bench-films`)."""
