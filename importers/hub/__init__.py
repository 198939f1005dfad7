"""The published files on the hub: what there is, what is here, and how the rest comes here."""
