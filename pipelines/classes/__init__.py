"""What depends on the classes of rows: how many variants each gets."""
