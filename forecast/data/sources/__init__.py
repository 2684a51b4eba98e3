"""Where data come from: one file a provider. Units are converted here, once, into the catalogue's."""
