"""Networks: `build` makes one from the recipe's [model], `describe` states what it costs."""
