"""What an engine stores: each owns its memory and knows no other component."""
