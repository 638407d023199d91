"""From a dataset version to batches: films, inputs, cache, sampling, augmentation."""
