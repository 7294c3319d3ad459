"""`python -m primus_lens` is `primus-lens`."""

from primus_lens.cli import main

if __name__ == "__main__":
    main()
