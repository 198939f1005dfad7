"""The objective of the flow and its length regulator."""
