"""Raw file -> validated InteractionLog and item metadata: `read.read_log`, one file per format."""
