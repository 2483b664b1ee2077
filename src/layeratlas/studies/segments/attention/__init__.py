"""Whether attention differs between kinds of text, such as languages."""
