"""The protocol's addresses: for providers' adapters, on the gateway and on web alike. Nothing here knows a page."""
