"""`tradectl why`: every entry about one order, in order."""
