"""Raw file -> reader -> InteractionLog -> filter -> frequency-ordered ids -> split -> Dataset."""
