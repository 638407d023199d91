"""`etl review`: a page on this machine where somebody says of each picture whether it is right. The run after it obeys."""
