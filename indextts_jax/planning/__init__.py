"""Before the first request: memory, time, and compilation ahead."""
