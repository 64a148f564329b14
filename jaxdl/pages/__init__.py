"""From results to pages: what a report says of a run, put together for `jaxdl.reporting.html`."""
