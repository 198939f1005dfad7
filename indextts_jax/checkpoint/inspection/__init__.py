"""What lies in a checkpoint, array by array: behind the command `show`."""
