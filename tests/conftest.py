"""What every test runs under."""

import coordinator  # noqa: F401 - before any test imports grpc, so that TLS 1.2 is shut out
