"""Veilsum: its commands and its demo, over coordinator and participant.

Importing it loads nothing of them.
"""

import os

# grpcio has no setting for a lowest TLS version, but it reads the cipher suites of TLS 1.2 from
# this variable, once, while it is imported. A suite for which nobody has a key leaves TLS 1.3.
os.environ["GRPC_SSL_CIPHER_SUITES"] = "PSK-AES128-CBC-SHA"
