"""The loop: phases of epochs of steps, with checkpoints it can go on from at any step."""
