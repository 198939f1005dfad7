"""From a checkpoint back to the published files: tables read backwards, and what they drop."""
