"""What each part of the codec is worth: parts taken out and retrained, entropy models compared, at equal budget."""
