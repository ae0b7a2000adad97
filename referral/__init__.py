"""Programs, links, touches, conversions, and who is credited for them."""
