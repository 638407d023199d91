"""`etl report`: what became of an archive, as one page that opens from disk."""
