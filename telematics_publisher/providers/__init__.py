"""Stream adapters, one small module for each provider. The interface is `provider.ProviderStream`."""
