"""The edge: provider frames become envelopes, are journalled, and sent on until core has them."""
