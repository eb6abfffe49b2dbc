"""What depends on the classes of rows: how many variants each gets, and which rows are split off as dev."""
