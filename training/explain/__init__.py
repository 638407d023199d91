"""Where a network looked: heat maps, in the picture and on the stored film, and how far to trust them."""
