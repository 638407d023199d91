"""What radforge looks like on disk: recipes, the dataset version and its tables. Imports nothing of ours."""
