"""Many live requests on one device: continuous batching in short ticks, on a thread of its own."""
