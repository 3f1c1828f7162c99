"""The declarations of the knobs against all that is derived from them: the pages, the struct, the enums."""
