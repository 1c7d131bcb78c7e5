"""Training data: files of any kind read, checked and split."""
