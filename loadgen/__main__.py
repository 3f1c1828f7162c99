"""`python -m loadgen` is `loadgen`."""

from loadgen.entry import main

if __name__ == "__main__":
    main()
