"""Which framework a job runs: rules says what shows it, decide weighs what was shown. Pure."""
