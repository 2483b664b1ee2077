"""What the stream keeps of the tokens before it and of the next one: lower bounds of mutual information."""
