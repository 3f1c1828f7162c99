"""One struct a module, and the numpy dtype derived from it."""
