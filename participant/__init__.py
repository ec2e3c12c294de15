"""A site: it checks the plan, trains on its own data, and sends a protected update."""

import os
import sys

_NO_TLS_1_2 = "PSK-AES128-CBC-SHA"

# grpcio has no setting for a lowest TLS version, but it reads the cipher suites of TLS 1.2 from
# this variable, once, while it is imported. A suite for which nobody has a key leaves TLS 1.3.
GRPC_CAME_FIRST = "grpc" in sys.modules and (
    os.environ.get("GRPC_SSL_CIPHER_SUITES") != _NO_TLS_1_2
)
"""True if grpc was imported too early to be told; `tls` then refuses to make credentials."""

os.environ["GRPC_SSL_CIPHER_SUITES"] = _NO_TLS_1_2
