"""The residual stream's information on previous tokens and on the next one: lower bounds of mutual information."""
