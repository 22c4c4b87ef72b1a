"""The REST client by its short name; `python -m serving.client` encodes photos on the device.

The client needs numpy, pillow and urllib3, the command ai_edge_litert as well.
"""

from serving.utils import interruption

if __name__ == "__main__":
    interruption.at_once("serving.client")

from serving.clients.rest_client import EncoderClient

__all__ = ["EncoderClient"]

if __name__ == "__main__":
    # Only here, so that the client can be imported without ai_edge_litert.
    from serving.client_cli import main

    with interruption.in_one_line("serving.client", "start the command again."):
        main()
