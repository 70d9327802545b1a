"""``modelyard worker``: run one worker, configured by its environment. Launchers do this; people seldom need to."""


def worker() -> None:
    """Run one worker in this process, configured by environment variables."""
    from modelyard.worker.main import main

    main()
